"""Checks whole paths, as `find` and rsync list them, part by part. A folder is checked once."""

from __future__ import annotations

import hashlib

from farends.contract import Skipped
from farends.errors import UnsafeName
from farends.names import decode, join
from farends.wire.far_text import skipped_name, skipped_row

UNSAFE_FOLDERS_MAX = 10_000  # past it, a folder in an unsafe folder is told like any other


class ListedPaths:
    def __init__(self) -> None:
        self._folder = b""  # the last one that was found safe
        self._folder_text = ""
        self._unsafe_folders: set[bytes] = set()  # digests: such a path may be long

    def text(self, path: bytes) -> str:
        """Raises UnsafeName where any part could leave its folder."""
        folder, slash, name = path.rpartition(b"/")
        if slash and not folder:
            raise UnsafeName("an absolute path")
        return join(self._text_of_folder(folder), decode(name))

    def refused(self, path: bytes, error: UnsafeName, *, is_folder: bool) -> Skipped | None:
        """How the refusal is told; None for a folder in a folder that was told already."""
        if is_folder:
            if len(self._unsafe_folders) < UNSAFE_FOLDERS_MAX:
                self._unsafe_folders.add(_digest(path))
            if _digest(path.rpartition(b"/")[0]) in self._unsafe_folders:
                return None
        return skipped_name("", path, str(error))

    def unreadable(self, path: bytes, message: str) -> Skipped:
        """A row that is not understood, with as much of a path as it seems to tell."""
        folder, slash, name = path.rpartition(b"/")
        try:
            text = self._text_of_folder(folder) if slash else ""
        except UnsafeName:
            text, name = "", path
        return skipped_row(text, name, message)

    def _text_of_folder(self, folder: bytes) -> str:
        if folder != self._folder:
            text = ""
            for part in folder.split(b"/") if folder else ():
                text = join(text, decode(part))
            self._folder, self._folder_text = folder, text
        return self._folder_text


def _digest(path: bytes) -> bytes:
    return hashlib.blake2b(path, digest_size=16).digest()
