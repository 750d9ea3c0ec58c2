"""Patterns mean what the standard library's mean, and no name makes one dear."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from farends import names
from syncjobs.core.patterns import InvalidPattern, parse_pattern
from syncjobs.core.selection import Selection
from tests.linear import find_cost

HOSTILE = [
    (r"re:(\w+\s?)*\.csv", "a"),
    (r"re:(a+)+b", "a"),
    (r"re:(a|aa)*b", "a"),
    (r"re:.*a.*a.*a.*a.*b", "a"),
    (r"re:(?:\d+,?)+;", "1"),
    ("**a**a**a**a**b", "a"),
    ("**/a/**/a/**/a/**/b", "a/"),
    ("*a*a*a*a*a*b", "a"),
    ("*a" * 12 + "b/x", "a"),
    ("a*[ab]?*a?[!c]*b*", "a"),
    ("*/*/*/*/*/b", "a/"),
    ("**", "a"),
    ("x*y", "x"),
]


@pytest.mark.parametrize(("pattern", "unit"), HOSTILE)
def test_no_name_makes_a_pattern_dear(pattern: str, unit: str) -> None:
    assert find_cost(parse_pattern(pattern), lambda n: unit * (n // len(unit)) + "!") is None


def test_the_pattern_that_stopped_a_worker() -> None:
    matches = parse_pattern(r"re:(\w+\s?)*\.csv")
    assert not matches("a" * 27)
    assert matches("a" * 27 + ".csv")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        (r"(?=a).*", "look-ahead"),
        (r"(?!x).*\.csv", "look-ahead"),
        (r"(?<=x)a", "look-behind"),
        (r"(?<!x)a", "look-behind"),
        (r"(?>a+)b", "atomic group"),
        (r"(?P<x>a)(?P=x)", "reference"),
        (r"(a)(?(1)b|c)", "reference"),
        (r"(a)\1", "reference"),
        (r"a{1001}", "repetition"),
        (r"(\w{100}){10}", "too large"),
        (r"(", r"missing \)"),
        (r"[z-a]", "range"),
        (r"a++", "repetition"),
        ("a" * 1001, "at most 1,000 characters"),
    ],
)
def test_what_cannot_be_linear_is_refused(expression: str, words: str) -> None:
    with pytest.raises(InvalidPattern, match=words):
        parse_pattern(f"re:{expression}")


def test_a_refusal_says_what_to_do() -> None:
    with pytest.raises(InvalidPattern) as caught:
        parse_pattern(r"re:(?!tmp).*\.csv")
    assert str(caught.value) == (
        r"'re:(?!tmp).*\\.csv': (?! is a look-ahead, and a hostile name could make it take hours. Say it in"
        " two rules of `filters`, such as '- *.tmp' and then '+ *.csv'"
    )


EXPRESSIONS = [
    *(r"\w+", r"\W+", r"\d+", r"\D+", r"\s+", r"\S+", r"[\w.]+", r"[\W]+", r"[^\W_]+", r"[\s\S]*"),
    *(r"[\d-]+", r"[^\d]+", r"[^\s]+", r"[\S]+", r"[\D]+", r".", r".*", r"[^a]", r"a{,3}", r"a{1,2}"),
    *(r"[[]", r"[]a]", r"[^]a]", r"[a[]+", r"[[:alpha]+", r"\u00e4+", r"[\u00e0-\u00ff]+", r"\x41"),
    *(r"a\Z", r"\Aa", r"a$", r"^a$", r"(?i:ä)", r"(?i:STRASSE)", r"(a|b)*", r"a.b", r"\.", r"[.]", r"\["),
    *(r"(?P<year>\d{4})-.*", r"\U0001F600", r"[a\]b]+", r"[\\]", r"\\", r"a\-b", r"[a\-z]+", r"ü+"),
]  # fmt: skip
TEXTS = [
    *("", "a", "A", "aa", "aaa", "aaaa", "ä", "Ä", "äü", "ß", "ü", "é", "e\u0301", "a\n", "\n", "a.b", "a\nb"),
    *("_", "a_1", "1", "٣", "²", "½", "Ⅷ", " ", "\u00a0", "\u2003", "\x85", "\x1c", "\t\n", "-", "1-2", "a-b", "a-z"),
    *("[", "]", "a[", "a]b", ".", "\\", "€", "\u2013", "日本", "日本.csv", "😀", "‿", "strasse", "straße", "2026-a"),
    *("\udcff", "a\udcffb", "a\udcff", "\U000f00ff", "a\U000f00ffb", ":", ":a", "pah[", "\u0345", "\u200b", "\x00"),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:Possible nested set:FutureWarning")
@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_mean_what_they_mean_in_python(expression: str) -> None:
    """Letters, digits and blanks of every script, and names that are no Unicode."""
    python = re.compile(rf"(?s:{expression})\Z")
    matches = parse_pattern(f"re:{expression}")
    told = {text: (matches(text), python.match(text) is not None) for text in TEXTS}
    assert {text: both for text, both in told.items() if both[0] is not both[1]} == {}


def test_a_byte_that_is_no_unicode_is_one_character() -> None:
    raw = names.decode(b"a\xffb.csv")
    for name in (raw, names.to_text(raw)):
        for pattern in ("a?b.csv", "**a?b.c**", "a[!x]b.csv", "re:a.b\\.csv", "re:a[^x]b.csv"):
            assert parse_pattern(pattern)(name), pattern
        assert not parse_pattern("re:a..b\\.csv")(name)
        assert not parse_pattern("**a??b.csv**")(name)


PIECES = ["a", "b", "/", "*", "**", "?", "[ab]", "[!a]", "[+-0]", "**/", "/**", ".", "ä"]


def by_definition(pattern: str, path: str) -> bool:
    """Each glob as an expression that tries every way."""
    pattern = pattern.removeprefix("./").removeprefix("/")
    words = {
        **{"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]", "[ab]": "[ab]"},
        **{"[!a]": "[^a/]", "[+-0]": "(?!/)[+-0]"},
    }
    token = re.compile(r"(?<![^/])\*\*/|/\*\*\Z|\*\*|\*|\?|\[[^\]]*\]|.", re.DOTALL)
    expression = "".join(words.get(found, re.escape(found)) for found in token.findall(pattern))
    prefix = "" if "/" in pattern else "(?:.*/)?"
    return re.fullmatch(f"{prefix}{expression}", path, re.DOTALL) is not None


@given(
    pattern=st.lists(st.sampled_from(PIECES), max_size=7).map("".join),
    path=st.text("ab/.-ä", max_size=9),
)
def test_globs_mean_what_they_mean(pattern: str, path: str) -> None:
    assume(not path.startswith("/") and not path.endswith("/") and "//" not in path)
    assume("[" in pattern or "***" not in pattern)
    assert parse_pattern(pattern)(path) is by_definition(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("*.csv", "deep/a.csv", True),
        ("a*z", "deep/abcz", True),
        ("a**z", "deep/abcz", True),
        ("a**z", "deep/a/z", True),
        ("a**z", "deep/ba/z", False),
        ("a*z", "deep/az/b", False),
        ("aba*aba", "aba", False),
        ("in/a*.csv", "in/ab.csv", True),
        ("in/a*.csv", "in/a/b.csv", False),
        ("in/aba*aba", "in/aba", False),
        ("**/in/**", "in/a", True),
        ("**/in/**", "a/in/b/c", True),
        ("**/in/**", "a/bin/c", False),
        ("**/in/**", "a/in", False),
        ("in/**", "in/a/b", True),
        ("in/**", "in", False),
        ("**/x", "x", True),
        ("**/x", "a/x", True),
        ("**/x", "a/bx", False),
        ("x", "a/x", True),
        ("a/x", "b/a/x", False),
        ("/x", "a/x", True),
        ("[/]", "/", False),
        ("a[+-9]b", "a/b", False),
        ("a[+-9]b", "a0b", True),
        ("[_]x", "_x", True),
    ],
)
def test_the_usual_forms(pattern: str, path: str, matches: bool) -> None:
    assert parse_pattern(pattern)(path) is matches


@pytest.mark.parametrize(
    "selection",
    [
        Selection(exclude=("re:(a)\\1",)),
        Selection(include=("re:(?=a)",)),
        Selection(filters=("- re:(?!a)",)),
    ],
)
def test_a_rule_that_was_stored_before_is_told(selection: Selection) -> None:
    with pytest.raises(InvalidPattern):
        selection.check()
    Selection(include=("*.csv",), exclude=("re:.*",), filters=("- *.tmp",)).check()
