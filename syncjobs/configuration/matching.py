"""Which of the files that a host lists a selection takes, and the folders that they lie in."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from connectors.listings import ListedFile
from syncjobs.core.patterns import escape_path
from syncjobs.core.selection import Selection

SHOWN = 200
FOLDERS_SHOWN = 300
DEPTH = 3


@dataclass(frozen=True, slots=True)
class MatchedFile:
    """`left_out` says why a file is not taken; empty: it is."""

    path: str
    size_bytes: int | None
    left_out: str = ""


@dataclass(slots=True)
class SourceFolder:
    """A folder of the host with all that lies below it. `pattern` leaves it out."""

    name: str
    path: str
    files: int = 0
    size_bytes: int = 0
    folders: dict[str, SourceFolder] = field(default_factory=dict)

    @property
    def pattern(self) -> str:
        return f"{escape_path(self.path)}/**"

    @property
    def children(self) -> list[SourceFolder]:
        return sorted(self.folders.values(), key=lambda folder: folder.name)


@dataclass(frozen=True, slots=True)
class SelectionMatch:
    taken: int
    taken_bytes: int
    listed: int
    shown: Sequence[MatchedFile]  # the first ones


def match_files(files: Sequence[ListedFile], selection: Selection) -> SelectionMatch:
    """Raises InvalidPattern."""
    selection.check()
    now_ns = time.time_ns()
    taken = taken_bytes = 0
    shown: list[MatchedFile] = []
    for file in files:
        age_s = None if file.modified_ns is None else (now_ns - file.modified_ns) / 1e9
        excluded = selection.find_exclusion(file.path, file.size_bytes, age_s)
        if excluded is None:
            taken += 1
            taken_bytes += file.size_bytes or 0
        if len(shown) < SHOWN:
            detail = "" if excluded is None else excluded.detail
            shown.append(MatchedFile(file.path, file.size_bytes, detail))
    return SelectionMatch(taken, taken_bytes, len(files), shown)


def build_tree(files: Sequence[ListedFile]) -> SourceFolder:
    """The folders down to a depth; of very many the first ones."""
    root = SourceFolder("", "")
    made = 0
    for file in files:
        folder = root
        for name in file.path.split("/")[:-1][:DEPTH]:
            following = folder.folders.get(name)
            if following is None:
                if made == FOLDERS_SHOWN:
                    break
                made += 1
                path = f"{folder.path}/{name}" if folder.path else name
                following = folder.folders[name] = SourceFolder(name, path)
            folder = following
            folder.files += 1
            folder.size_bytes += file.size_bytes or 0
    return root
