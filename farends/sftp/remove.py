"""Deletes and moves files over SFTP, one at a time, never over what is there."""

from __future__ import annotations

from farends.contract import RemoteEntry
from farends.errors import AlreadyThere, TransportError, Vanished
from farends.sftp.client import SftpClient, make_status_error
from farends.sftp.packets import Attributes, Fields, PacketKind, Status, pack_string
from farends.sftp.tree import remote_path

_NO_ATTRIBUTES = b"\0\0\0\0"


class SftpRemover:
    """Paths are relative to the root."""

    def __init__(self, client: SftpClient, root: bytes) -> None:
        self._client = client
        self._root = root
        self._made: set[str] = set()

    def find(self, path: str) -> RemoteEntry | None:
        found = self._look(path)
        if found is None or not found.is_regular:
            return None
        return RemoteEntry(path, found.size_bytes, found.modified_ns)

    def remove(self, path: str) -> None:
        self._do(PacketKind.REMOVE, pack_string(remote_path(self._root, path)), "deleting the file")

    def move(self, path: str, to: str) -> None:
        """Servers differ in whether a rename replaces what is there, so that is looked at first."""
        if self._look(to) is not None:
            raise AlreadyThere
        self._make_folder(to.rpartition("/")[0])
        body = pack_string(remote_path(self._root, path)) + pack_string(remote_path(self._root, to))
        self._do(PacketKind.RENAME, body, "moving the file")

    def close(self) -> None:
        self._client.close()

    def _look(self, path: str) -> Attributes | None:
        kind, fields = self._client.call(
            PacketKind.LSTAT, pack_string(remote_path(self._root, path))
        )
        if kind == PacketKind.ATTRS:
            return fields.attributes()
        error = make_status_error(kind, fields, "asking for size and time")
        if isinstance(error, Vanished):
            return None
        raise error

    def _make_folder(self, folder: str) -> None:
        """Makes a folder and those above it. A refusal is left to the rename, which then fails."""
        if not folder or folder in self._made:
            return
        self._make_folder(folder.rpartition("/")[0])
        self._client.call(
            PacketKind.MKDIR, pack_string(remote_path(self._root, folder)) + _NO_ATTRIBUTES
        )
        self._made.add(folder)

    def _do(self, kind: PacketKind, body: bytes, doing: str) -> None:
        error = _find_error(*self._client.call(kind, body), doing)
        if error is not None:
            raise error


def _find_error(kind: int, fields: Fields, doing: str) -> TransportError | None:
    if kind == PacketKind.STATUS and fields.peek_uint32() == Status.OK:
        return None
    return make_status_error(kind, fields, doing)
