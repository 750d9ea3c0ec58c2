from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from syncjobs.core.patterns import parse_pattern
from syncjobs.core.selection import Selection


@pytest.mark.parametrize(
    ("pattern", "path", "matches"),
    [
        ("**/*.csv", "a.csv", True),
        ("**/*.csv", "deep/er/a.csv", True),
        ("*.csv", "deep/er/a.csv", True),
        ("in/*.csv", "in/a.csv", True),
        ("in/*.csv", "in/deep/a.csv", False),
        ("**/drafts/**", "x/drafts/y/z.csv", True),
        ("**/drafts/**", "drafts/z.csv", True),
        ("**/drafts/**", "mydrafts/z.csv", False),
        ("2026*/**", "2026-11/a.csv", True),
        ("2026*/**", "2025/a.csv", False),
        ("*.d/**", "a.d.d/x", True),
        ("*.d/**", "a.d.e/x", False),
        ("a*/b*/**", "ax/by/c", True),
        ("a?c", "abc", True),
        ("a?c", "a/c", False),
        ("[ab].txt", "a.txt", True),
        ("[!ab].txt", "a.txt", False),
        ("[!ab].txt", "c.txt", True),
        ("**", "any/thing", True),
        ("a+b (1).txt", "a+b (1).txt", True),
        ("-rf", "-rf", True),
        ("*.txt", "new\nline.txt", True),
    ],
)
def test_globs(pattern: str, path: str, matches: bool) -> None:
    assert parse_pattern(pattern)(path) is matches


@pytest.mark.parametrize("pattern", ["[abc", "x[z-a]"])
def test_a_broken_glob_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"never closed|range"):
        parse_pattern(pattern)


def test_exclude_wins_and_sizes_and_extensions_count() -> None:
    selection = Selection(
        include=("**/*.csv", "**/*.txt"),
        exclude=("**/drafts/**",),
        extensions=("csv", ".TXT"),
        max_file_size_bytes=10,
    )
    assert selection.find_exclusion("a/b.csv", 10) is None
    assert selection.find_exclusion("a/b.csv", None) is None
    excluded = {
        path: selection.find_exclusion(path, size)
        for path, size in {"drafts/b.csv": 1, "b.md": 1, "big.csv": 11}.items()
    }
    assert {path: rule and rule.rule for path, rule in excluded.items()} == {
        "drafts/b.csv": "exclude",
        "b.md": "include",
        "big.csv": "max_file_size_bytes",
    }


def test_nothing_stated_selects_everything() -> None:
    assert Selection().find_exclusion("any.bin", 1 << 60) is None


def matches_by_definition(pattern: str, path: str, *, begins: bool = True) -> bool:
    """What the words of `selection` say, without any cleverness: `*`, `**`, `**/` and `/**` only.
    `begins`: a name of the pattern does here."""
    if not pattern:
        return not path
    if pattern == "/**":
        return path.startswith("/")
    if begins and pattern.startswith("**/"):
        rest = pattern[3:]
        starts = [0, *(at + 1 for at, letter in enumerate(path) if letter == "/")]
        return any(matches_by_definition(rest, path[start:]) for start in starts)
    if pattern.startswith("*"):
        stars = 2 if pattern.startswith("**") else 1
        reach = len(path) if stars == 2 else len(path.partition("/")[0])
        rests = (path[at:] for at in range(reach + 1))
        return any(matches_by_definition(pattern[stars:], rest, begins=False) for rest in rests)
    begins = pattern[0] == "/"
    return path[:1] == pattern[0] and matches_by_definition(pattern[1:], path[1:], begins=begins)


@given(
    pattern=st.lists(st.sampled_from(["a", "b", "/", "*", "**/"]), max_size=7).map("".join),
    path=st.text("ab/", max_size=9),
)
def test_stars_that_never_look_back_match_the_same(pattern: str, path: str) -> None:
    assume("***" not in pattern and "/" in pattern and not pattern.startswith("/"))
    assume("**" not in pattern.replace("**/", ""))
    assert parse_pattern(pattern)(path) == matches_by_definition(pattern, path)
