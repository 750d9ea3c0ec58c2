from __future__ import annotations

import pytest

from syncjobs.core.selection import Selection, compile_glob


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
    assert bool(compile_glob(pattern).match(path)) is matches


@pytest.mark.parametrize("pattern", ["[abc", "x[z-a]"])
def test_a_broken_glob_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"never closed|range"):
        compile_glob(pattern)


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
