"""What responses and links of a web server say about files. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from farends.contract import RemoteEntry
from farends.errors import ProtocolViolation
from farends.http.index_rows import SORTING
from farends.names import COMPONENT_BYTES_MAX, decode, join
from farends.web.dates import modified_ns
from farends.web.response import Head
from farends.web.url import Url, components, resolve

_STRONG_ETAG = re.compile(r'"[!#-~\x80-\xff]{1,512}"')
# Nearly every link of an index page: one plain name, no matter how a URL is resolved.
_PLAIN_CHILD = re.compile(r"(?:\./)?([A-Za-z0-9_~-][A-Za-z0-9._~-]*)(/?)")
_UP = ("..", "../", "./..", "./../")
_UP_WORDS = frozenset({"..", "../", "parent", "up", "go up", "up one level"})
_UP_SAID = ("parent directory", "parent folder", "up to ")  # IIS: [To Parent Directory]
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19}|\*)")


def strong_etag(head: Head) -> str | None:
    """RFC 9110 §8.8.3. One that is absurdly long is not worth a row's place in a million."""
    etag = head.fields.get("etag", "")
    return etag if _STRONG_ETAG.fullmatch(etag) else None


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


def describe_entry(path: str, head: Head, size_bytes: int | None) -> RemoteEntry:
    return RemoteEntry(
        path, size_bytes, modified_ns(head.fields.get("last-modified")), strong_etag(head)
    )


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder as its page is asked for, and the address that its page came from."""

    parts: list[bytes]  # of its path, without the last slash
    page: Url

    @classmethod
    def of(cls, asked: Url, page: Url) -> Folder:
        return cls(split_path(asked.path), page)

    def child(self, reference: str) -> tuple[bytes | None, bool]:
        """The name that lies directly in the folder and whether it is a folder; None for all that is no
        child: the folder above, another host, a query.

        A climbing reference other than the plain parent link comes back as it is, to be refused.
        """
        if (plain := _PLAIN_CHILD.fullmatch(reference)) and self.page.path[-1:] == "/":
            return plain[1].encode("ascii"), bool(plain[2])
        if not reference or reference[0] in "?#":
            return None, False
        try:
            url = resolve(self.page, reference.partition("#")[0])
        except ProtocolViolation:
            return None, False
        if url.origin != self.page.origin or "?" in url.target:
            return None, False
        said = components(reference.partition("?")[0])
        if b".." in said and any(part not in (b"..", b".", b"") for part in said):
            return reference.encode("utf-8", "surrogateescape"), False
        here, there = self.parts, components(url.path)
        below = there[len(here) :]
        if there[: len(here)] != here or len(below) not in (1, 2) or below[1:] not in ([], [b""]):
            return None, False
        if below[0] == b"":
            return None, False
        return below[0], len(below) == 2

    def leads_up(self, reference: str, text: str) -> bool:
        """Whether a link is the way to the folder above that index pages have. A site's own way to its
        start page is none."""
        try:
            url = resolve(self.page, reference.partition("#")[0])
        except ProtocolViolation:
            return False
        above = self.parts[:-1] or self.parts
        if url.origin != self.page.origin or split_path(url.path) != above:
            return False
        words = " ".join(text.split()).lower()
        plain = reference in _UP
        return plain or words in _UP_WORDS or any(said in words for said in _UP_SAID)

    def elsewhere(self, reference: str, text: str) -> list[bytes]:
        """Yields where files of this folder would be if this link led to one: paths from the folder.
        None for what sorts the rows, for a place on the page, and for the ways to the folder itself and to
        those above it."""
        shown = text.strip().rstrip("/").encode("utf-8", "surrogateescape")
        names = [shown] if _plain_name(shown) else []
        if reference in ("", "#") or reference[0] == "?":  # a script serves what the text names
            return [] if SORTING.match(reference) or shown == self.parts[-1] else names
        if reference[0] == "#":
            return []
        try:
            url = resolve(self.page, reference.partition("#")[0])
        except ProtocolViolation:
            return names
        there = split_path(url.path)
        if url.origin == self.page.origin:
            if there == self.parts[: len(there)]:
                return []
            if there[: len(self.parts)] == self.parts:
                names.append(b"/".join(there[len(self.parts) :]))
        names.append(there[-1])
        return [name for name in dict.fromkeys(names) if name]


def split_path(raw_path: str) -> list[bytes]:
    """The decoded components of a path, without the last slash."""
    return components(raw_path.rstrip("/"))


def _plain_name(text: bytes) -> bool:
    return 0 < len(text) <= COMPONENT_BYTES_MAX and not any(
        byte < 32 or byte == 0x2F for byte in text
    )


def parse_listed_url(home: Url, reference: str) -> str:
    """The path of a URL that an operator listed. Raises UnsafeName, ProtocolViolation."""
    url = resolve(home, reference)
    if url.origin != home.origin or "?" in url.target:
        raise ProtocolViolation("another host than the connector's, or with a query")
    path = ""
    for part in components(url.path)[1:]:
        path = join(path, decode(part))
    return path
