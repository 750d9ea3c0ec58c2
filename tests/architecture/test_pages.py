"""`docs/architecture.md` and its pictures show the packages, rooms and files that there are."""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
PAGE = (ROOT / "docs" / "architecture.md").read_text()
DRAWING = runpy.run_path(str(ROOT / "docs" / "pictures" / "draw.py"))


def test_the_page_has_a_row_for_every_package_and_every_room() -> None:
    rooms = {
        name
        for contract in CONFIG["contracts"]
        if "containers" in contract
        for layer in contract["layers"]
        for name in DRAWING["names_of"](layer)
    }
    rows = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert rows == {*CONFIG["root_packages"], *rooms}


def test_every_file_that_the_page_names_exists() -> None:
    named = re.findall(r"`([\w/*]+(?:\.py|/))`", PAGE)
    assert len(named) > 20
    assert [name for name in named if not list(ROOT.glob(name))] == []


@pytest.mark.parametrize("name", DRAWING["PICTURES"])
def test_the_picture_is_drawn_from_the_contracts(name: str) -> None:
    drawn = DRAWING["PICTURES"][name]()
    assert (ROOT / "docs" / "pictures" / name).read_text() == drawn, "python docs/pictures/draw.py"
