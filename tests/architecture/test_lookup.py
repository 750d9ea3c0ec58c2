"""Rows of a workspace are looked up by name in one module, so that one idea holds of what a name can be."""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
DOOR = "workspaces/lookup.py"
READS = {"filter", "exclude", "get", "aget", "get_or_create", "update_or_create", "Q", "When"}
NAMES = ("name", "username", "prefix")  # what rows of a workspace are called by
COMPARISONS = ("", "__in", "__exact", "__iexact", "__contains", "__icontains", "__startswith")
# Whose names are nobody's but the installation's.
OF_NO_WORKSPACE = {"PeriodicTask", "CursorPlace", "get_user_model"}
# file: the calls that it may make, each with its reason
ALLOWED = {
    # The first workspace is made by its name, whoever else starts at that moment.
    "cli/management/commands/prepare.py": {"get_or_create"},
}


def looks_by_name(text: str) -> Iterator[tuple[int, str]]:
    """Line and call, for each that filters by a name."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or (called := _name_of(node.func)) not in READS:
            continue
        if _root_of(node.func) not in OF_NO_WORKSPACE and any(map(_is_name, _keys_of(node))):
            yield node.lineno, called


def _name_of(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _root_of(node: ast.expr) -> str:
    """`Model` of `Model.objects.filter(…).exclude`."""
    while isinstance(node, ast.Attribute | ast.Call):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""


def _keys_of(call: ast.Call) -> Iterator[str]:
    """Of keywords, and of dictionaries and pairs that are written out in the call."""
    for keyword in call.keywords:
        if keyword.arg is not None:
            yield keyword.arg
        elif isinstance(keyword.value, ast.Dict):
            yield from (_text_of(key) for key in keyword.value.keys)
    for pair in call.args:
        if isinstance(pair, ast.Tuple) and pair.elts:
            yield _text_of(pair.elts[0])


def _text_of(key: ast.expr | None) -> str:
    return key.value if isinstance(key, ast.Constant) and isinstance(key.value, str) else ""


def _is_name(key: str) -> bool:
    """Also of a row that is related, such as `job__name`."""
    for comparison in COMPARISONS:
        path = key.removesuffix(comparison) if comparison else key
        if (path != key or not comparison) and path.rpartition("__")[2] in NAMES:
            return True
    return False


def test_nobody_else_looks_rows_up_by_name() -> None:
    found = {}
    for package in CONFIG["root_packages"]:
        for file in (ROOT / package).rglob("*.py"):
            name = str(file.relative_to(ROOT))
            if "/migrations/" in name or name == DOOR:
                continue
            lines = [
                f"line {line}: {call}"
                for line, call in looks_by_name(file.read_text())
                if call not in ALLOWED.get(name, set())
            ]
            if lines:
                found[name] = lines
    assert found == {}, "ask workspaces.lookup"


def test_what_is_allowed_is_there() -> None:
    for name, calls in ALLOWED.items():
        assert calls == {call for _, call in looks_by_name((ROOT / name).read_text())}, name


@pytest.mark.parametrize(
    "line",
    [
        "Connector.objects.filter(workspace=w, name=text)",
        "rows.select_related('job').filter(name=text).first()",
        "workspace.sync_jobs.get(name=text)",
        "SyncRecord.objects.filter(workspace=w, job__name=text)",
        "rows.exclude(connector__name__in=names)",
        "rows.filter(Q(pk=pk) | Q(name=text))",
        "rows.filter(**{'name': text})",
        "rows.filter(Q(('name__icontains', text)))",
        "Member.objects.filter(workspace=w, user__username=text)",
        "Dataset.objects.get_or_create(workspace=w, name=text)",
    ],
)
def test_a_look_by_name_is_noticed(line: str) -> None:
    assert list(looks_by_name(line))


@pytest.mark.parametrize(
    "line",
    [
        "Connector.objects.filter(workspace=w, pk=pk)",
        "Dataset.objects.create(workspace=w, name=text)",
        "rows.order_by('name').values_list('name', flat=True)",
        "PeriodicTask.objects.get_or_create(name=text)",
        "find_row(rows, workspace, text)",
        "options.get('name')",
    ],
)
def test_what_is_no_look_by_name_is_left_alone(line: str) -> None:
    assert not list(looks_by_name(line))
