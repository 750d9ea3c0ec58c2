"""A part of a held file: text where its bytes are UTF-8, else bytes. Each byte is proved before it is told."""

from __future__ import annotations

import mimetypes
from contextlib import closing
from dataclasses import dataclass

from datasets.models import Dataset, Entry
from datasets.reading import open_entry
from store.errors import StoreError

OCTETS = "application/octet-stream"
# The interpreter's own table: the machine's /etc/mime.types would make answers differ from host to host.
_TYPES = mimetypes.MimeTypes(filenames=())
_OFFICE = "application/vnd.openxmlformats-officedocument"
for _suffix, _type in {
    ".md": "text/markdown",
    ".rst": "text/x-rst",
    ".log": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".toml": "application/toml",
    ".jsonl": "application/x-ndjson",
    ".parquet": "application/vnd.apache.parquet",
    ".docx": f"{_OFFICE}.wordprocessingml.document",
    ".xlsx": f"{_OFFICE}.spreadsheetml.sheet",
    ".pptx": f"{_OFFICE}.presentationml.presentation",
}.items():
    _TYPES.add_type(_type, _suffix)


class FileUnreadable(Exception):
    """The store cannot give the file's bytes."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """`length` bytes from `offset` on. `text` is None where they are no UTF-8: then `blob` holds them. `next_offset` is None at
    the file's end."""

    offset: int
    length: int
    next_offset: int | None
    text: str | None
    blob: bytes | None


def read_part(dataset: Dataset, entry: Entry, offset: int, length: int) -> FilePart:
    """A text ends at a character's border, so it may be up to three bytes shorter than was asked for. Raises FileUnreadable."""
    stop = min(entry.size_bytes, offset + length)
    data = _read(dataset, entry, offset, stop) if offset < stop else b""
    text = _decode(data, is_last=stop == entry.size_bytes)
    if text is not None:
        stop = offset + len(text.encode())
    return FilePart(
        offset=offset,
        length=stop - offset,
        next_offset=stop if stop < entry.size_bytes else None,
        text=text,
        blob=data if text is None else None,
    )


def guess_type(path: str) -> str:
    """By the name: what a host says of a file is not believed."""
    return _TYPES.guess_type(path.rpartition("/")[2], strict=True)[0] or OCTETS


def _read(dataset: Dataset, entry: Entry, start: int, stop: int) -> bytes:
    try:
        with closing(open_entry(dataset, entry)) as blob:
            return b"".join(blob.part(start, stop))
    except (StoreError, OSError) as exc:
        raise FileUnreadable(str(exc)) from exc


def _decode(data: bytes, *, is_last: bool) -> str | None:
    """None for what is no UTF-8. A character that the range cuts at its end is left to the next part."""
    try:
        return data.decode()
    except UnicodeDecodeError as exc:
        cut = not is_last and exc.reason == "unexpected end of data" and exc.start > 0
        return data[: exc.start].decode() if cut else None
