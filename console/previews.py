"""The beginning of a held file, shown to a person: as text, as a table, or as a picture. Nothing of it runs.

What a file is called says little, so that its first bytes decide. A page of HTML and a drawing of SVG are text. Tables other
than CSV, and documents, are read by children that are limited; a person waits for them as for a far end.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from console.words import show_unprintable
from datasets.held_files import VersionFiles
from datasets.models import Entry, Version
from datasets.store import open_store
from farends.errors import TransportError
from farends.rows.contract import Preview as Sample
from farends.tabular.files import HeldFile
from search.core.texts import TextRefusal
from search.extracting.extractor import Extractor
from search.extracting.plain import find_charset
from store.errors import StoreError
from syncjobs.core.patterns import parse_pattern
from syncjobs.queries.offered_files import preview_held

TEXT_BYTES = 64 * 1024
ROWS = 20
TABLE_BYTES_MAX = 64 << 20  # a table that is no CSV is unpacked whole
SHOWN_BYTES_MAX = 32 << 20  # of a picture or a document that the browser draws
DOCUMENT_S = 20.0
_HEAD_BYTES = 16
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
)
_READ_WHOLE = (".parquet", ".xlsx")
_TABLES = (".csv", ".tsv", ".jsonl", ".ndjson", *_READ_WHOLE)


@dataclass(frozen=True, slots=True)
class FilePreview:
    """One of `text`, `table` and `content_type` is there, or `note` says why there is nothing to see. `is_cut`: there is more of
    it."""

    note: str = ""
    text: str | None = None
    encoding: str = ""
    table: Sample | None = None
    content_type: str = ""
    is_cut: bool = False


def find_content_type(head: bytes) -> str:
    """What a browser may draw by itself, by the first bytes; empty for all else. Nothing of it holds scripts that the policy
    of its answer would let run."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for magic, kind in _MAGIC if head.startswith(magic)), "")


def preview_file(version: Version, entry: Entry) -> FilePreview:
    """Never raises what a file or the store can cause: the note tells it."""
    if not entry.size_bytes:
        return FilePreview(note="The file is empty.")
    try:
        with open_held(version, entry) as file:
            head = file.read(TEXT_BYTES)
        return _preview(version, entry, head)
    except (StoreError, TransportError, OSError) as exc:
        return FilePreview(note=f"This file cannot be shown: {exc}.")


def open_held(version: Version, entry: Entry) -> BinaryIO:
    """Raises StoreError, OSError."""
    files = VersionFiles(version, open_store(version.dataset.workspace_id), parse_pattern)
    return files.open(_file_of(entry))


def _file_of(entry: Entry) -> HeldFile:
    return HeldFile(entry.path, entry.size_bytes, bytes(entry.sha256))


def _preview(version: Version, entry: Entry, head: bytes) -> FilePreview:
    content_type = find_content_type(head[:_HEAD_BYTES])
    if content_type == "application/pdf":
        return _preview_document(version, entry, content_type)
    if content_type:
        if entry.size_bytes > SHOWN_BYTES_MAX:
            return FilePreview(note="The picture is too large to be shown: download it.")
        return FilePreview(content_type=content_type)
    table = _preview_table(version, entry)
    return table if table is not None else _preview_text(entry, head)


def _preview_table(version: Version, entry: Entry) -> FilePreview | None:
    """Returns None where it is no table, as far as anybody can tell."""
    name = entry.path.lower()
    if not name.endswith(_TABLES):
        return None
    if name.endswith(_READ_WHOLE) and entry.size_bytes > TABLE_BYTES_MAX:
        return FilePreview(note="The table is too large to be shown: download it.")
    try:
        sample = preview_held(version, _file_of(entry), ROWS)
    except TransportError as exc:
        if name.endswith(_READ_WHOLE):
            return FilePreview(note=f"It cannot be read as a table: {exc}")
        return None
    return FilePreview(table=sample, is_cut=not sample.complete)


def _preview_text(entry: Entry, head: bytes) -> FilePreview:
    found = find_charset(head, io.BytesIO(), lambda: None)
    if isinstance(found, TextRefusal):
        return FilePreview(note="It is no text, no table and no picture: download it.")
    text = head[found.mark_bytes :].decode(found.codec, "replace")
    is_cut = entry.size_bytes > len(head)
    shown = _show_lines(text.removesuffix("\ufffd") if is_cut else text)
    return FilePreview(text=shown, encoding=found.codec, is_cut=is_cut)


def _show_lines(text: str) -> str:
    """With its lines and tabs; other control characters, and those that turn a line round, are made visible."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(show_unprintable, line.split("\t"))) for line in lines)


def _preview_document(version: Version, entry: Entry, content_type: str) -> FilePreview:
    """A PDF as the text of its pages: the viewers of browsers run scripts, so they are not asked."""
    kind = content_type if entry.size_bytes <= SHOWN_BYTES_MAX else ""
    with Extractor(wall_s=DOCUMENT_S) as extractor:
        found = extractor.extract("file.pdf", lambda: open_held(version, entry), entry.size_bytes)
        if isinstance(found, TextRefusal):
            return FilePreview(
                note=f"No text was found in this PDF. {found.note}", content_type=kind
            )
        pieces = list(islice(found.pieces, 2_000))
    text = "\n".join(
        f"— {piece.place} —\n{piece.text}" if piece.place else piece.text for piece in pieces
    )
    return FilePreview(
        text=_show_lines(text[:TEXT_BYTES]),
        encoding="PDF",
        content_type=kind,
        is_cut=len(text) > TEXT_BYTES,
    )
