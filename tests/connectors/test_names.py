"""Names: what is refused, and that the text form loses nothing."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import UnsafeName
from connectors.names import decode, encode, from_text, join, to_text


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
