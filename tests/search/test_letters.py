"""Words hold their marks, and text in any form is one text."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from search.core.letters import MARKS, compose, compose_with_places, is_mark, match_words

ALL = [chr(n) for n in range(sys.maxunicode + 1)]


def _read_class(ranges: str) -> set[str]:
    found: set[str] = set()
    while ranges:
        first, last = ranges[0], ranges[2] if ranges[1:2] == "-" else ranges[0]
        found.update(map(chr, range(ord(first), ord(last) + 1)))
        ranges = ranges[3:] if ranges[1:2] == "-" else ranges[1:]
    return found


def test_marks_are_those_of_unicode_and_the_joiners() -> None:
    known = {sign for sign in ALL if unicodedata.category(sign) in ("Mn", "Mc", "Me")}
    assert _read_class(MARKS) == known | {"\u200c", "\u200d"}
    assert {sign for sign in ALL if is_mark(sign)} == _read_class(MARKS)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("HeaderMismatch_of 2 lines", ["HeaderMismatch", "of", "2", "lines"]),
        ("यह हिन्दी भाषा की किताब है।", ["यह", "हिन्दी", "भाषा", "की", "किताब", "है"]),
        ("ভাষা; தமிழ் மொழி, मराठी", ["ভাষা", "தமிழ்", "மொழி", "मराठी"]),
        ("مَكْتُوبٌ، نمی\u200cشود", ["مَكْتُوبٌ", "نمی\u200cشود"]),
        ("Cafe\u0301_x\u030c2", ["Cafe\u0301", "x\u030c2"]),
        ("\u0301 \ufe0f \U0001f642", []),
    ],
)
def test_a_word_holds_its_marks(text: str, words: list[str]) -> None:
    assert match_words(text).findall(text) == words


def test_whatever_can_be_composed_is_composed_with_its_places() -> None:
    for sign in ALL:
        apart = unicodedata.normalize("NFD", sign)
        if apart == sign:
            continue
        text = f"a{apart}b"
        composed, places = compose_with_places(text)
        assert composed == compose(text)
        assert places[-2:] == [len(text) - 1, len(text)]
        assert is_mark(apart[0]) or places[:2] == [0, 1]
        assert places == sorted(places)


def test_places_of_a_mixed_text_hold() -> None:
    text = "Cafe\u0301 au \u110e\u1161\u11bc\u1100\u1169, \u0958 ตั้ง"
    composed, places = compose_with_places(text)
    assert composed == unicodedata.normalize("NFC", text)
    at = composed.index("고")
    assert text[places[at] : places[at + 1]] == "\u1100\u1169"
    at = composed.index("ตั้ง")
    assert text[places[at + 2] : places[at + 4]] == "้ง"
