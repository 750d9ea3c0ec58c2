"""One word means one thing: no public name of a module is defined a second time in another module."""

from __future__ import annotations

import ast
import tomllib
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]

# A name that may be defined twice, and why. Rename instead of adding to this.
ALLOWED = {
    "Command": "Django finds a command by this name",
    "Catalog": "the engine's protocol, and the class in datasets that fulfils it",
    "Receipts": "the engine's protocol, and the class in datasets that fulfils it",
}


def find_doubles() -> dict[str, list[str]]:
    found = defaultdict(list)
    for package in PACKAGES["root_packages"]:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" in path.parts:
                continue
            for node in ast.parse(path.read_text()).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith(
                    "_"
                ):
                    found[node.name].append(str(path.relative_to(ROOT)))
    return {name: paths for name, paths in found.items() if len(set(paths)) > 1}


def test_no_public_name_means_two_things() -> None:
    doubles = find_doubles()
    assert {name: paths for name, paths in doubles.items() if name not in ALLOWED} == {}
    assert set(ALLOWED) <= set(doubles), "no longer defined twice: take it out of ALLOWED"
