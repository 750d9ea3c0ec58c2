"""Names: what is refused, and that the text form loses nothing."""

from __future__ import annotations

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farends.errors import UnsafeName
from farends.names import decode, encode, from_text, join, to_text
from farends.wire.listed_paths import UNSAFE_FOLDERS_MAX, ListedPaths


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "/abs", "../x", "nul\0", "x" * 256, "é" * 128]
)
def test_n01_n03_n04_n07_what_could_leave_the_folder_is_refused(name: str) -> None:
    with pytest.raises(UnsafeName):
        join("folder", name)


def test_n07_a_path_too_long_or_too_deep_is_refused() -> None:
    with pytest.raises(UnsafeName):
        join("/".join(["x" * 250] * 17), "file")
    with pytest.raises(UnsafeName):
        join("/".join("d" * 300), "file")


@pytest.mark.parametrize(
    "name", ["-rf", "$(touch x)", "CON", "a.", "x:stream", "=cmd()", "...", " "]
)
def test_n10_n17_n18_odd_names_are_only_data(name: str) -> None:
    assert join("", name) == name
    assert join("folder", name) == f"folder/{name}"


def test_n01_an_absolute_path_is_not_taken_for_a_relative_one() -> None:
    paths = ListedPaths()
    assert paths.text(b"a/x") == "a/x"
    for path in (b"/x", b"/", b"//x", b"/a/x", b"a//x", b"a/"):
        with pytest.raises(UnsafeName):
            paths.text(path)


def test_n03_ten_thousand_long_names_are_refused_in_few_words() -> None:
    """What is told of a refusal is kept until the record ends, so it is short."""
    with pytest.raises(UnsafeName) as caught:
        join("folder", "x/" * 100_000)
    assert len(str(caught.value)) < 500


def test_n03_unsafe_folders_without_end_are_remembered_within_bounds() -> None:
    paths = ListedPaths()
    error = UnsafeName()
    tracemalloc.start()
    for number in range(UNSAFE_FOLDERS_MAX + 1000):
        assert paths.refused(b"../%d" % number + b"x" * 3000, error, is_folder=True)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 * 1024 * 1024
    assert paths.refused(b"../0" + b"x" * 3000 + b"/below", error, is_folder=True) is None


@given(st.binary(max_size=60))
def test_n08_every_name_has_a_text_form_that_loses_nothing(raw: bytes) -> None:
    name = decode(raw)
    assert encode(name) == raw
    text = to_text(name)
    json.dumps(text, ensure_ascii=False).encode("utf-8")
    assert from_text(text) == name


@given(st.text(alphabet=st.sampled_from("a\U000f0080\U000f00ff\udc80\udcffé"), max_size=12))
def test_the_private_block_itself_is_carried_too(text: str) -> None:
    name = decode(encode(text))
    assert from_text(to_text(name)) == name
