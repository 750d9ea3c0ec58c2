"""A look at the files of a dataset as tables, for people who choose what a job of rows reads. Nothing is stored."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, BinaryIO

from connectors.offers import LOOK_S, cut_preview
from datasets.held_files import VersionFiles
from datasets.models import Version
from datasets.store import open_store
from farends.errors import ProtocolViolation, RootMissing, Stalled
from farends.rows.contract import Entity, EntityKind, Preview
from farends.tabular.entity import FileFormat, InvalidEntity, parse_entity
from farends.tabular.files import HeldFile
from farends.tabular.source import TabularSource
from syncjobs.core.patterns import parse_pattern

_GLOB_SIGN = re.compile(r"([*?\[])")


def list_offered_files(
    version: Version, form: FileFormat | None, prefix: str, *, after: str | None, most: int
) -> tuple[list[Entity], bool]:
    """Files whose names end as those of a table do, of this format or of any; and whether there are more. One that
    is no table is told without columns. Raises TransportError's children, StoreError, OSError."""
    files = _open_files(version)
    source = _open_source(version, files)
    named = (
        (file.path, found)
        for file in files.find("**")
        if file.path.startswith(prefix)
        and (after is None or file.path > after)
        and (found := _find_format(file.path)) is not None
        and form in (None, found)
    )
    taken = list(islice(named, most + 1))
    return [_describe(source, path, found) for path, found in taken[:most]], len(taken) > most


def preview_files(version: Version, spec: Mapping[str, Any], limit: int) -> Preview:
    """The first rows of what a job's `entity` would mean. Raises RootMissing, and what `list_offered_files` raises."""
    source = _open_source(version, _open_files(version))
    return cut_preview(source.preview(spec, limit), limit)


def preview_named(version: Version, name: str, form: FileFormat | None, limit: int) -> Preview:
    """The same of a file by its path, or of all files that the name matches as a pattern. Raises what `preview_files`
    raises."""
    try:
        return preview_files(version, name_file(name, form), limit)
    except RootMissing:
        known = form or _find_format(name)
        if known is None or not _GLOB_SIGN.search(name):
            raise
        return preview_files(version, {"path": name, "format": known.value}, limit)


def preview_held(version: Version, file: HeldFile, limit: int) -> Preview:
    """The first rows of this one file. Raises what `preview_files` raises."""
    source = _open_source(version, _OneFile(_open_files(version), file))
    return cut_preview(source.preview(name_file(file.path, None), limit), limit)


class _OneFile:
    """A file by itself: a pattern could mean others of the same name."""

    def __init__(self, files: VersionFiles, file: HeldFile) -> None:
        self._files = files
        self._file = file

    def find(self, pattern: str) -> Iterator[HeldFile]:
        yield self._file

    def open(self, file: HeldFile) -> BinaryIO:
        return self._files.open(file)


def name_file(path: str, form: FileFormat | None) -> dict[str, Any]:
    """A job's `entity` that means this file. Raises RootMissing where nothing tells the format."""
    known = form or _find_format(path)
    if known is None:
        raise RootMissing(f"nothing tells the format of {path}")
    return {"path": _GLOB_SIGN.sub(r"[\1]", path), "format": known.value}


def _open_files(version: Version) -> VersionFiles:
    store = open_store(version.dataset.workspace_id)
    store.need()
    return VersionFiles(version, store, parse_pattern)


def _open_source(version: Version, files: VersionFiles | _OneFile) -> TabularSource:
    ends_at = time.monotonic() + LOOK_S

    def check() -> None:
        if time.monotonic() > ends_at:
            raise Stalled(f"the look took longer than {LOOK_S:g} s")

    return TabularSource(files, check=check)


def _find_format(path: str) -> FileFormat | None:
    try:
        return parse_entity({"path": path}).format
    except InvalidEntity:
        return None


def _describe(source: TabularSource, path: str, form: FileFormat) -> Entity:
    spec = name_file(path, form)
    try:
        columns = source.preview(spec, 1).columns
    except (ProtocolViolation, RootMissing):
        columns = ()
    return Entity(path, EntityKind.FILE, spec, columns)
