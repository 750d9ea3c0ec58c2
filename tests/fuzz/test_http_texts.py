"""Texts of a web server that were made to cost much: whatever reads them does so in time that grows with
their length alone. The budget is some fifty times what a plain page takes."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator

import pytest

from farends.errors import TransportError
from farends.http.digests import read_digest
from farends.http.entries import Folder, parse_listed_url, strong_etag, whole_size
from farends.http.index_pages import IndexPage
from farends.http.index_rows import NotUnderstood, unescape_references
from farends.web.answers import status_error
from farends.web.auth import Credentials
from farends.web.dates import epoch_s, iso_ns, minute_ns, seconds_until
from farends.web.response import Head, ResponseReader, parse_head
from farends.web.url import Origin, Url, resolve, without_user

KIB = 1024
BUDGET_S_PER_MIB = 8.0  # of CPU; what is quadratic takes minutes
TRIES = 4
PAGE_BYTES = 256 * KIB
FIELD_BYTES = 60 * KIB  # what a response's head may have
HOME = Url(Origin("http", "host", 80), "/a/b/")
FOLDER = Folder.of(HOME, HOME)
BEGINNINGS = (
    "", "<html><pre>", "<a href='x'>", "<a href='x'>x</a>", '<a href="x">x</a> 07-Nov-2025 12:30 5\n',
    "[", '["', '{"files":[', '{"a":', "<list>", "<list><file>", "<ListBucketResult>",
    "<ListBucketResult><Contents>", "<?xml ", "<!--", "<script>", "<title>", "\ufeff",
)  # fmt: skip
PIECES = (
    " ", "\t", "\r\n", "a", "0", "9", ";", ":", ",", "=", '"', "'", "\\", "/", "..", "../", "%", "%2e", "@",
    "<", ">", "</", "<a", "<a ", "<a href=", '<a href="', "<a href='x'", "</a>", "<time ", "<time datetime=",
    "<td data-size=", "data-order=", "<!", "<!-", "<!--", "-->", "-", "--", "<?", "<script", "<script>",
    "</script", "</script ", "<title>", "<input type=", "&", "&#", "&#x", "&#x0", "&lt", "[", "]", "{", "}", '{"',
    '{"name":', '"name":"', '":', "1,", "1e", "<file ", "<file>", "</file>", "<file mtime=", "<Contents>",
    "<Key>", "</Contents>", "<Key/>", "12:30", "07-Nov-2025 12:30", "digest ", "Digest realm=", 'nonce="',
    "sha-256=:", "sha-256=", "bytes ", "W/", "//", "http://", "[::", "GMT", "Mon, ", "+00:00", "\0", "\ud800",
)  # fmt: skip


def read_page(text: str, step: int = 16 * KIB) -> None:
    page, raw = IndexPage(), text.encode("utf-8", "surrogatepass")
    for at in range(0, len(raw), step):
        page.feed(raw[at : at + step])
    page.end()
    page.judge(framed=True, children=1, leads_up=False)


def read_page_by_bytes(text: str) -> None:
    read_page(text[: 64 * KIB], 1)


def read_references(text: str) -> None:
    unescape_references(text)


def read_links(text: str) -> None:
    FOLDER.child(text)
    FOLDER.leads_up(text, text)
    FOLDER.elsewhere(text, text)


def read_urls(text: str) -> None:
    without_user(text)
    resolve(HOME, text)
    parse_listed_url(HOME, text)


def read_challenge(text: str) -> None:
    credentials = Credentials("digest", username="u", password="p", token="", header_name="")
    for challenge in (text, f"Digest {text}", f'Digest realm="{text}'):
        credentials.take_challenge(challenge)


def read_head(text: str) -> None:
    raw = text.encode("latin-1", "replace")
    for line in (raw, b"X: " + raw, b"X: " + raw + b"x"):
        with contextlib.suppress(TransportError):
            parse_head(b"HTTP/1.1 200 OK\r\n" + line, "GET")


def read_fields(text: str) -> None:
    fields = dict.fromkeys(("etag", "digest", "repr-digest", "content-range", "retry-after"), text)
    head = Head(503, fields, True, None, False)
    strong_etag(head)
    read_digest(head)
    status_error(head, "asking")
    seconds_until(text, text)
    whole_size(head, 5)


def read_dates(text: str) -> None:
    epoch_s(text)
    iso_ns(text)
    minute_ns(text)


class Nobody:
    method = "GET"

    def on_head(self, head: Head) -> None: ...

    def on_data(self, data: memoryview) -> None: ...

    def on_end(self) -> None: ...


def read_response(text: str) -> None:
    reader = ResponseReader()
    reader.expect(Nobody())
    raw = text.encode("latin-1", "replace")
    reader.feed(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + raw)


READERS: dict[str, tuple[Callable[[str], None], int]] = {
    "page": (read_page, PAGE_BYTES),
    "page by bytes": (read_page_by_bytes, 64 * KIB),
    "references": (read_references, FIELD_BYTES),
    "links": (read_links, FIELD_BYTES),
    "urls": (read_urls, FIELD_BYTES),
    "challenge": (read_challenge, FIELD_BYTES),
    "head": (read_head, FIELD_BYTES),
    "fields": (read_fields, FIELD_BYTES),
    "dates": (read_dates, FIELD_BYTES),
    "response": (read_response, PAGE_BYTES),
}


def hostile_texts(length: int, count: int) -> Iterator[str]:
    """One piece again and again, then a few; behind each beginning that some parser knows."""
    chance = random.Random(20_261_128)  # noqa: S311 — the same texts in every run
    for number in range(len(PIECES) + count):
        pieces = (
            [PIECES[number]]
            if number < len(PIECES)
            else chance.choices(PIECES, k=chance.randint(2, 5))
        )
        unit = "".join(pieces)
        beginning = chance.choice(BEGINNINGS) if number >= len(PIECES) else ""
        yield (beginning + unit * (length // len(unit) + 1))[:length]
        if number < len(PIECES):
            for beginning in BEGINNINGS[1:]:
                yield (beginning + unit * (length // len(unit) + 1))[: length // 8]


@pytest.mark.parametrize("name", READERS)
def test_no_text_of_a_web_server_costs_more_than_its_length(name: str) -> None:
    read, length = READERS[name]
    for text in hostile_texts(length, 80):
        budget_s = 0.25 + BUDGET_S_PER_MIB * len(text) / (KIB * KIB)
        for _ in range(TRIES):  # what the machine does beside it only adds
            spent_s = _cpu_s(read, text)
            if spent_s < budget_s:
                break
        assert spent_s < budget_s, text[:60]


def _cpu_s(read: Callable[[str], None], text: str) -> float:
    began = time.thread_time()
    with contextlib.suppress(TransportError, NotUnderstood, UnicodeEncodeError):
        read(text)
    return time.thread_time() - began
