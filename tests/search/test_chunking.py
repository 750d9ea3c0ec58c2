"""How a text is cut: borders that the content decides, headings, lines, and nothing lost."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from search.core.chunking import LEAST, MOST, UTMOST, cut
from search.core.texts import Cut, Extracted, Piece

KINDS = (".txt", ".md", ".rst", ".py", ".csv", ".toml")
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def chunks_of(text: str, kind: str = ".txt", name: str = "a") -> list[Cut]:
    return list(cut(Extracted(kind, [Piece(text, line=1)]), name + kind))


def placed(pieces: Iterable[Piece]) -> list[Cut]:
    return list(cut(Extracted(".docx", list(pieces)), "a.docx"))


TEXTS = st.lists(
    st.one_of(
        st.text(max_size=60),
        st.sampled_from(
            ["# One", "## Two\n", "\n\n", "\n \n", "Title\n=====\n", "def f(x):\n", "class A:\n", "```", "[part]", "\r\n", "\t", "a,b\n", "。"]
        ),
        st.integers(1, 3000).map(lambda count: "word " * count),
        st.integers(1, 3000).map(lambda count: "x" * count),
        st.integers(1, 200).map(lambda count: "A line of some words.\n" * count),
    ),
    max_size=20,
).map("".join)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(text=TEXTS)
def test_each_body_stands_in_the_text_at_its_line_and_nothing_is_lost(kind: str, text: str) -> None:
    found = chunks_of(text, kind)
    plain = CONTROL.sub("", text)
    begins = [0, *(match.end() for match in re.finditer("\n", plain))]
    at = 0
    for number, each in enumerate(found):
        assert each.n == number
        assert 0 < len(each.body) <= UTMOST
        assert each.line is not None
        place = plain.index(each.body, at)
        assert plain[at:place].strip() == ""
        assert each.line == plain.count("\n", 0, place) + 1
        assert begins[each.line - 1] <= place
        at = place + len(each.body)
    assert plain[at:].strip() == ""


@settings(max_examples=60, deadline=None)
@given(text=TEXTS, size=st.integers(1, 500))
def test_how_a_text_arrives_changes_no_border(text: str, size: int) -> None:
    pieces = [Piece(text[at : at + size], line=1) for at in range(0, len(text), size)]
    assert list(cut(Extracted(".md", pieces), "a.md")) == chunks_of(text, ".md")


def real_files() -> list[Path]:
    """Programs and documents that are on every machine that has this project."""
    library, ours = Path(os.__file__).parent, Path(__file__).parents[2]
    files = [*library.glob("*.py"), *library.glob("[a-e]*/*.py"), *ours.glob("docs/**/*.md")]
    return [path for path in sorted(files) if path.stat().st_size >= 8_000][:300]


def test_a_line_at_the_top_moves_only_the_borders_next_to_it() -> None:
    kept = total = 0
    for path in real_files():
        text = path.read_text(errors="replace")
        lines = text.split("\n")
        lines.insert(3, "One more line that somebody wrote today.")
        before = {(each.heading, each.body) for each in chunks_of(text, path.suffix)}
        after = chunks_of("\n".join(lines), path.suffix)
        kept += sum((each.heading, each.body) in before for each in after)
        total += len(after)
    assert total > 10_000
    assert kept / total >= 0.94


def test_most_chunks_are_neither_small_nor_large() -> None:
    sizes = [
        len(each.body)
        for path in real_files()
        for each in chunks_of(path.read_text(errors="replace"), path.suffix)
    ]
    assert max(sizes) <= UTMOST
    assert sum(LEAST * 0.9 <= size <= MOST for size in sizes) / len(sizes) > 0.9


@pytest.mark.parametrize(
    "unit", ["x", "字", "word ", "a;b,", "One sentence. ", "\n", "日本語の文。"]
)
def test_a_text_without_an_end_is_cut_nevertheless(unit: str) -> None:
    text = unit * (1_000_000 // len(unit))
    found = chunks_of(text)
    assert all(len(each.body) <= UTMOST for each in found)
    assert sum(len("".join(each.body.split())) for each in found) == len("".join(text.split()))


HEADINGS = [
    (".md", "# Install\n\nFirst.\n\n## Linux\n\nneedle here\n\n# Use\n\nLast.\n", "Install > Linux"),
    (".md", "Install\n=======\n\nLinux\n-----\n\nneedle\n", "Install > Linux"),
    (".md", "# Install #\n```\n# no heading\n```\nneedle\n", "Install"),
    (".md", "---\ntitle: A\n---\n\nneedle\n", ""),
    (".rst", "=====\nGuide\n=====\n\nText.\n\nInstall\n=======\n\nA.\n\nLinux\n-----\n\nneedle\n\nUse\n===\n\nB.\n", "Guide > Install > Linux"),
    (".rst", "=====  =====\nA      B\n=====  =====\nneedle x\n=====  =====\n", ""),
    (".py", "class Store:\n" + "    x = 1\n" * 40 + "\n    @cached\n    def find(self, key):\n        needle\n", "class Store > def find"),
    (".py", "x = 1\n\nneedle = 2\n", ""),
    (".go", "package a\n\nfunc (s *Store) Find(key string) error {\n\tneedle\n}\n", "func (s *Store) Find"),
    (".sql", "CREATE TABLE IF NOT EXISTS orders (\n  needle int\n);\n", "CREATE TABLE IF NOT EXISTS orders"),
    (".toml", "[tool.ruff]\nneedle = 1\n", "tool.ruff"),
    (".csv", "id,name\n# 1,needle\n", ""),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "heading"), HEADINGS)
def test_a_chunk_knows_the_headings_above_it(kind: str, text: str, heading: str) -> None:
    assert [each.heading for each in chunks_of(text, kind) if "needle" in each.body] == [heading]


def test_a_readme_without_suffix_has_headings_too() -> None:
    found = list(cut(Extracted(".txt", [Piece("# Install\n\nneedle\n", line=1)]), "a/README"))
    assert [each.heading for each in found] == ["Install"]


def test_a_heading_that_a_document_tells_is_taken_as_it_is() -> None:
    found = placed(
        [
            Piece("Install\n", "body", level=1),
            Piece("First.\n\n", "body"),
            Piece("On Linux\n", "body", level=2),
            Piece("# Second.\n", "body"),
        ]
    )
    assert [(each.heading, each.body) for each in found] == [
        ("Install", "Install\nFirst."),
        ("Install > On Linux", "On Linux\n# Second."),
    ]


def test_a_chunk_stands_on_one_page() -> None:
    found = placed([Piece("One.\n", "page 1"), Piece("Two.\n", "page 2"), Piece("2b.", "page 2")])
    assert [(each.place, each.line, each.body) for each in found] == [
        ("page 1", None, "One."),
        ("page 2", None, "Two.\n2b."),
    ]


def test_rows_that_follow_on_each_other_stand_together_one_a_line() -> None:
    rows = [1, 2, 3, 7, 8]
    pieces = [Piece(f"r{row} | x\n", f"sheet My row 9 row {row}") for row in rows]
    found = placed([*pieces, Piece("r1\n", "sheet B row 1")])
    assert [(each.place, each.heading, each.body) for each in found] == [
        ("sheet My row 9 row 1", "My row 9", "r1 | x\nr2 | x\nr3 | x"),
        ("sheet My row 9 row 7", "My row 9", "r7 | x\nr8 | x"),
        ("sheet B row 1", "B", "r1"),
    ]
    # However many rows a chunk has, the row of each of its lines is known.
    for each in placed(Piece(f"row {n} of many\n", f"sheet A row {n}") for n in range(1, 2000)):
        first = int(each.place.rpartition(" ")[2])
        for line, text in enumerate(each.body.split("\n")):
            assert text == f"row {first + line} of many"
