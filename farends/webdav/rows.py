"""Says which file or folder a row of a multistatus is about. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from farends.contract import RemoteEntry
from farends.errors import ProtocolViolation
from farends.web.dates import iso_ns, modified_ns
from farends.web.url import Url, components, resolve
from farends.webdav.multistatus import DavRow

_STRONG = re.compile(r'"[!#-~]{1,512}"')
_SIZE = re.compile(r"[0-9]{1,19}")


def split_folder(raw_path: str) -> list[bytes]:
    """The decoded components of a percent-encoded path. Slashes in a row and at the end count for nothing."""
    return [part for part in components(raw_path) if part]


def find_name(folder: Sequence[bytes], page: Url, row: DavRow) -> bytes | None:
    """The name of the row directly in the folder, None where the row is the folder itself.

    A full URL may name another host than the one that was asked: behind a proxy many servers write their own name.
    The path alone decides, and nobody follows the URL. Raises ProtocolViolation for a row that is elsewhere, and
    for one that may mean several things.
    """
    href = row.href
    if row.wrong:
        raise ProtocolViolation(row.wrong)
    if not href:
        raise ProtocolViolation("a row without a name")
    if any(mark in "?#" or mark < " " or mark == "\x7f" for mark in href):
        raise ProtocolViolation("a name with a mark that a host must write as %XX")
    if href.startswith("//"):  # a path: RFC 4918 §8.3 knows no URL without its scheme
        href = "/" + href.lstrip("/")
    there = split_folder(resolve(page, href).path)
    if there == list(folder):
        return None
    if there[:-1] != list(folder):
        raise ProtocolViolation("a row that is not about the folder that was asked for")
    return there[-1]


def describe_row(path: str, row: DavRow) -> RemoteEntry:
    """What the row tells of a file. A size, time or ETag that cannot be read is None."""
    size = int(row.size) if _SIZE.fullmatch(row.size) else None
    modified = modified_ns(row.modified)
    if modified is None:
        modified = iso_ns(row.modified)  # some servers write all their times as ISO 8601
    return RemoteEntry(path, size, modified, row.etag if _STRONG.fullmatch(row.etag) else None)
