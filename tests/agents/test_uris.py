"""URIs of resources: each address has one, and what is none is told from what is."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.mcp.resources.uris import READ_MAX, NoResourceUri, ResourceAddress, parse_uri

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
SEGMENT = TEXT.filter(lambda text: "/" not in text)


@given(
    dataset=TEXT,
    number=st.none() | st.integers(1, 2_147_483_647),
    path=st.lists(SEGMENT, min_size=1, max_size=4).map("/".join),
    offset=st.integers(0, 1 << 62),
    length=st.integers(1, READ_MAX),
)
def test_a_files_address_is_read_as_it_was_written(
    dataset: str, number: int | None, path: str, offset: int, length: int
) -> None:
    address = ResourceAddress(dataset, number, path, offset, length)
    assert parse_uri(str(address)) == address
    assert str(address).isascii()


@given(dataset=TEXT, after=st.lists(SEGMENT, max_size=3).map("/".join))
def test_a_manifests_address_is_read_as_it_was_written(dataset: str, after: str) -> None:
    assert parse_uri(str(ResourceAddress(dataset, after=after))).after == after


def test_unreserved_characters_stay_and_all_others_are_encoded() -> None:
    address = ResourceAddress("a b", path="x/Aa0-._~/ü+%?#&=.md", offset=5)
    assert str(address) == "sync://a%20b/files/x/Aa0-._~/%C3%BC%2B%25%3F%23%26%3D.md?offset=5"
    assert str(ResourceAddress("d", 3)) == "sync://d/versions/3/manifest"


@given(st.text(max_size=60) | st.text(max_size=60).map("sync://".__add__))
def test_no_text_makes_the_parser_fail(text: str) -> None:
    try:
        parse_uri(text)
    except NoResourceUri:
        return


@pytest.mark.parametrize(
    "uri",
    [
        None,
        5,
        "",
        "sync://",
        "sync:///manifest",
        "sync://d",
        "sync://d/",
        "sync://d/manifest/",
        "sync://d/manifest/x",
        "sync://d/files",
        "sync://d/files/",
        "sync://d/files//x",
        "sync://d/files/a%2Fb",
        "sync://d/files/a%00",
        "sync://d/files/a%FF",
        "sync://d/files/\ud800",
        "sync://d/files/a#part",
        "sync://d/other/x",
        "sync://d/versions/0/manifest",
        "sync://d/versions/-1/manifest",
        "sync://d/versions/x/manifest",
        "sync://d/versions/1",
        "sync://d/versions/99999999999/manifest",
        "sync://d/versions/٣/manifest",
        "sync://d/files/a?offset=-1",
        "sync://d/files/a?offset=x",
        "sync://d/files/a?offset=1&offset=2",
        "sync://d/files/a?length=0",
        "sync://d/files/a?length=",
        "sync://d/files/a?",
        "sync://d/files/a?after=b",
        "sync://d/manifest?offset=1",
        "sync://d/files/" + "a" * 20_000,
        "file:///etc/passwd",
        "http://d/manifest",
        "d/manifest",
    ],
)
def test_what_is_no_uri_of_ours_is_refused(uri: object) -> None:
    with pytest.raises(NoResourceUri):
        parse_uri(uri)
