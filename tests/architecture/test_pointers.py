"""What code, tests and pages point to stands in this repository: a reader can open it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.test_cases import FILES

ROOT = Path(__file__).parents[2]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
OUTSIDE = re.compile(r"\b(RELIABILITY|[Ss]eed document|[Ii]ssue \d+)\b")
PAGE = re.compile(r"\bdocs/[\w./-]+\.md\b")
DECISION = re.compile(r"docs/decisions/(\d{3})\b")
CODES = re.compile(r"docs/promises\.md[,:] ((?:[A-Z]\d*(?:, | and )?)+)")


def iter_texts() -> Iterator[tuple[str, str]]:
    for folder in (*PACKAGES["root_packages"], "tests", "docs", "deploy", "benchmarks"):
        for path in sorted((ROOT / folder).rglob("*")):
            if path.suffix in {".py", ".md", ".html", ".yml"} and path != Path(__file__):
                yield str(path.relative_to(ROOT)), path.read_text()
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "docker-compose.yml"):
        yield name, (ROOT / name).read_text()


def test_every_page_and_decision_that_a_text_names_exists() -> None:
    numbers = {path.name[:3] for path in (ROOT / "docs" / "decisions").glob("*.md")}
    missing = {
        (name, page)
        for name, text in iter_texts()
        for page in PAGE.findall(text)
        if not (ROOT / page).is_file()
    } | {
        (name, number)
        for name, text in iter_texts()
        for number in DECISION.findall(text)
        if number not in numbers
    }
    assert missing == set()


def test_every_code_that_a_text_names_stands_on_the_page_of_promises() -> None:
    families = {code[0] for code in FILES}
    strange = {
        (name, code)
        for name, text in iter_texts()
        for codes in CODES.findall(text)
        for code in re.split(r", | and ", codes.strip())
        if code and code.lower() not in FILES and code.lower() not in families
    }
    assert strange == set()


def test_nothing_points_to_what_is_not_in_the_repository() -> None:
    assert {name for name, text in iter_texts() if OUTSIDE.search(text)} == set()
