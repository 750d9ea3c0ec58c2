"""The list of skipped tests is pinned, and the pin holds."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.conftest import stated_skips, unstated

ROOT = Path(__file__).parents[1]


def skipped(reason: str) -> pytest.CollectReport:
    longrepr = ("module.py", 1, f"Skipped: {reason}")
    return pytest.CollectReport("x", "skipped", longrepr, [])


def test_a_skip_that_is_not_stated_or_for_another_reason_is_wrong() -> None:
    name, reason = next(iter(stated_skips().items()))
    assert unstated(f"tests/{name}", skipped(reason)) is None
    assert "tests/skips.txt" in str(unstated(f"tests/{name}", skipped("no time")))
    assert "nginx" in str(unstated("tests/x.py::test_y", skipped("nginx is not installed")))
    assert unstated("tests/x.py::test_y", pytest.CollectReport("x", "passed", None, [])) is None


def test_a_missing_program_is_an_excuse_only_where_it_could_not_be_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = tmp_path / "missing"
    monkeypatch.setattr("tests.conftest.MISSING", missing)
    report = skipped("nginx is not installed; `make test` installs it")
    assert unstated("tests/x.py::test_y", report) is not None
    missing.write_text(" proftpd\n")
    assert unstated("tests/x.py::test_y", report) is not None
    missing.write_text(" proftpd nginx\n")
    assert unstated("tests/x.py::test_y", report) is None


def test_every_stated_skip_is_of_a_test_that_exists_and_has_its_reason() -> None:
    for name, reason in stated_skips().items():
        module, _, test = name.partition("::")
        tree = ast.parse((ROOT / module).read_text())
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert test.partition("[")[0] in functions, name
        assert reason.strip(), name
