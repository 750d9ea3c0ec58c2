"""Deletes and moves files by a shell on the host: names come as data, never as words of a command."""

from __future__ import annotations

from collections.abc import Sequence

from farends.contract import RemoteEntry
from farends.errors import AlreadyThere, ConnectionLost, ProtocolViolation
from farends.names import encode
from farends.secure_shell.commands import ShellSession
from farends.secure_shell.scripts import CLEAR, CLEAR_ONE, END, LOOK, Script, folder_argument
from farends.ssh.records import ShellComplaint, parse_record, record_splitter
from farends.wire.far_text import show


class ShellRemover:
    """Paths are relative to the root. All is done in the session's shell, one thing at a time."""

    def __init__(self, session: ShellSession, root: bytes) -> None:
        self._session = session
        self._root = root

    def find(self, path: str) -> RemoteEntry | None:
        told = self._ask(LOOK, [b"./" + encode(path)], last=END)
        if not told:
            return None
        record = parse_record(told[0])
        return (
            RemoteEntry(path, record.size_bytes, record.modified_ns)
            if record.kind == b"f"
            else None
        )

    def remove(self, path: str) -> None:
        self._do(b"remove", b"./" + encode(path))

    def move(self, path: str, to: str) -> None:
        folder = to.rpartition("/")[0]
        self._do(b"move", b"./" + encode(path), b"./" + encode(to), b"./" + encode(folder))

    def close(self) -> None:
        self._session.close()

    def _do(self, *words: bytes) -> None:
        (told,) = self._ask(CLEAR, words, CLEAR_ONE)
        word, _, rest = told.partition(b" ")
        if word != b"end":
            raise ProtocolViolation(f"the host's shell said {show(told, 100)}")
        status, _, said = rest.partition(b" ")
        if status == b"there":
            raise AlreadyThere
        if status != b"0":
            raise ShellComplaint(b"", show(said.rpartition(b": ")[2] or b"refused")).error()

    def _ask(
        self, script: str, words: Sequence[bytes], *more: bytes, last: bytes | None = None
    ) -> list[bytes]:
        """The records of the answer: up to the one that is `last`, or else a single one."""
        data = b"".join(word + b"\0" for word in words)
        arguments = (folder_argument(self._root), b"%d" % len(data), *more)
        channel = self._session.run(Script(script, arguments))
        told: list[bytes] = []
        try:
            channel.send(data)
            channel.enter(self._root)
            splitter = record_splitter()
            while not told or (last is not None and told[-1] != last):
                if not (came := channel.receive()):
                    raise ConnectionLost("the host's shell ended before its answer")
                told += splitter.feed(came)
            channel.end()
        finally:
            channel.close()
        return told[:-1] if last is not None else told
