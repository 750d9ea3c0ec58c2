"""The one reader of the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from embedded.errors import WrongVariable
from embedded.variables import Variables


def test_a_value_may_stand_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "word"
    file.write_text("  said \n")
    given = Variables({"WORD_FILE": str(file), "OTHER": " x "})
    assert (given.find("WORD"), given.text("OTHER"), given.find("NONE")) == ("said", "x", None)


def test_an_empty_value_is_none_and_an_empty_list_is_empty() -> None:
    given = Variables({"PORT": " ", "NETWORKS": ""})
    assert (given.find("PORT"), given.whole("PORT", 5), given.text("PORT", "y")) == (None, 5, "y")
    # Nobody sees /metrics without a token where METRICS_NETWORKS is empty.
    assert given.words("NETWORKS", "127.0.0.0/8") == ()
    assert given.words("OTHERS", "a, b,") == ("a", "b")


@pytest.mark.parametrize(
    ("method", "text"),
    [("whole", "1.5"), ("number", "soon"), ("flag", "perhaps")],
)
def test_a_value_that_does_not_fit_is_named(method: str, text: str) -> None:
    given = Variables({"NAME": text})
    more = () if method == "flag" else (1,)
    with pytest.raises(WrongVariable, match=f"^NAME must be .*'{text}'$"):
        getattr(given, method)("NAME", *more)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_bytes(b"\xff")
    for path in (tmp_path / "none", broken):
        with pytest.raises(WrongVariable, match=f"^cannot read WORD_FILE {path}: "):
            Variables({"WORD_FILE": str(path)}).find("WORD")


@pytest.mark.parametrize(
    ("text", "meant"), [("True", True), ("1", True), ("off", False), ("", False)]
)
def test_flags_are_words(text: str, meant: bool) -> None:
    assert Variables({"DEBUG": text}).flag("DEBUG") is meant
