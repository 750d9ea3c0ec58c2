"""`docs/promises.md` and the tests agree: `grep test_.*h10` finds the tests of case H10, and the page explains it."""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "promises.md").read_text()
ROW = re.compile(r"^\| ([A-Z]\d{1,2}) \| (.+) \| (`.+`) \|$", re.MULTILINE)
FILES = {code.lower(): re.findall(r"`([^`]+)`", files) for code, _, files in ROW.findall(PAGE)}


def codes_of(name: str) -> set[str]:
    """`test_n01_n03_words` carries n01 and n03."""
    found = re.match(r"test_((?:[a-z]\d{1,2}_)+)", name)
    return set(found[1].strip("_").split("_")) if found else set()


def find_carriers() -> dict[str, set[str]]:
    """For each code, the files with a test that carries it."""
    carriers = defaultdict(set)
    for module in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.FunctionDef):
                for code in codes_of(node.name):
                    carriers[code].add(str(module.relative_to(TESTS)))
    return dict(carriers)


CARRIERS = find_carriers()


def test_every_code_in_a_tests_name_stands_on_the_page() -> None:
    assert len(FILES) > 80
    assert set(CARRIERS) - set(FILES) == set()


@pytest.mark.parametrize("code", FILES)
def test_a_case_on_the_page_is_carried_by_a_test_in_its_files(code: str) -> None:
    missing = [name for name in FILES[code] if not (TESTS / name).is_file()]
    assert missing == [], f"docs/promises.md, {code.upper()}"
    if not code.startswith("p"):  # a promise may also be proved by whole files
        assert CARRIERS.get(code, set()) & set(FILES[code]), f"docs/promises.md, {code.upper()}"


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("test_n01_n03_words", {"n01", "n03"}),
        ("test_p4_x", {"p4"}),
        ("test_words_n01_x", set()),
        ("test_a1b_x", set()),
    ],
)
def test_codes_stand_at_the_front_of_a_name(name: str, codes: set[str]) -> None:
    assert codes_of(name) == codes
