"""What responses and links of a web server say about files. Pure."""

from __future__ import annotations

import re

from connectors.contract import RemoteEntry
from connectors.errors import ProtocolViolation
from connectors.names import decode, join
from connectors.wire.http_dates import modified_ns
from connectors.wire.http_response import Head
from connectors.wire.http_url import Url, components, resolve
from connectors.wire.shown import shown

_STRONG_ETAG = re.compile(r'"[!#-~\x80-\xff]{1,512}"')
# Nearly every link of an index page: one plain name, no matter how a URL is resolved.
_PLAIN_CHILD = re.compile(r"(?:\./)?([A-Za-z0-9_~-][A-Za-z0-9._~-]*)(/?)")
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


def strong_etag(head: Head) -> str | None:
    """RFC 9110 §8.8.3. One that is absurdly long is not worth a row's place in a million."""
    etag = head.fields.get("etag", "")
    return etag if _STRONG_ETAG.fullmatch(etag) else None


def check_coding(head: Head) -> None:
    """Raises ProtocolViolation where the body is not the file's own bytes."""
    coding = head.fields.get("content-encoding", "").strip().lower()
    if coding not in ("", "identity"):
        raise ProtocolViolation(
            f"the body is coded as {shown(coding, 40)!r}, which was not asked for"
        )


def whole_size(head: Head, offset: int) -> int | None:
    """The size of the whole file that a partial answer tells, None where it keeps it to itself.

    Raises ProtocolViolation where it is not the part from `offset` to the end (RFC 9110 §14.4).
    """
    found = _CONTENT_RANGE.fullmatch(head.fields.get("content-range", ""))
    if found is None or int(found[1]) != offset:
        raise ProtocolViolation("the host answered with another range than was asked for")
    if found[3] == "*":
        return None
    size = int(found[3])
    if int(found[2]) != size - 1 or head.length not in (None, size - offset):
        raise ProtocolViolation("the host's range does not add up to the file")
    return size


def described(path: str, head: Head, size_bytes: int | None) -> RemoteEntry:
    return RemoteEntry(
        path, size_bytes, modified_ns(head.fields.get("last-modified")), strong_etag(head)
    )


def child_of(page: Url, reference: str) -> tuple[bytes | None, bool]:
    """Only what lies directly in the page's own folder: no parent, no other host, no query.

    A climbing reference other than the plain parent link comes back as it is, to be refused.
    """
    if plain := _PLAIN_CHILD.fullmatch(reference):
        return plain[1].encode("ascii"), bool(plain[2])
    if not reference or reference[0] in "?#":
        return None, False
    try:
        url = resolve(page, reference.partition("#")[0])
    except ProtocolViolation:
        return None, False
    if url.origin != page.origin or "?" in url.target:
        return None, False
    said = components(reference.partition("?")[0])
    if b".." in said and any(part not in (b"..", b".", b"") for part in said):
        return reference.encode("utf-8", "surrogateescape"), False
    here, there = components(page.path)[:-1], components(url.path)
    below = there[len(here) :]
    if there[: len(here)] != here or len(below) not in (1, 2) or below[1:] not in ([], [b""]):
        return None, False
    if below[0] == b"":
        return None, False
    return below[0], len(below) == 2


def path_of(home: Url, reference: str) -> str:
    """The path of a URL that an operator listed. Raises UnsafeName, ProtocolViolation."""
    url = resolve(home, reference)
    if url.origin != home.origin or "?" in url.target:
        raise ProtocolViolation("another host than the connector's, or with a query")
    path = ""
    for part in components(url.path)[1:]:
        path = join(path, decode(part))
    return path
