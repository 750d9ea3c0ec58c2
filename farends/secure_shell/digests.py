"""SHA-256 of many files by a program of the host: few commands, no content on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from farends.contract import Digested, Receiver, RemoteEntry
from farends.errors import ConnectionLost, ProtocolViolation, TransportError
from farends.names import encode
from farends.secure_shell.commands import NoShell, ShellChannel, ShellSession
from farends.secure_shell.scripts import DIGEST, PREFIX, Script, folder_argument
from farends.secure_shell.splitting import Splitter
from farends.wire.far_text import show

FILES_MAX = 1_000
BYTES_MAX = 1 << 30
SLOWEST_BYTES_S = 4 << 20  # a host that reads slower than this counts as silent
_LINE_BYTES_MAX = 64 * 1024
_ANSWER_BYTES_MAX = FILES_MAX * 8192
_END = b"end"
# The programs' common form, with a name that is known to need no escape.
_LINE = re.compile(rb"\\?([0-9a-fA-F]{64}) [ *]?\./(.*)")
_PREFIX = re.compile(rb"\\?([0-9a-fA-F]{64})(?: |$)")
_ESCAPED = (b"\n", b"\r", b"\\")


class Digester:
    """One script for each batch, in the session's shell."""

    def __init__(self, session: ShellSession) -> None:
        self._session = session
        self.program: str | None = None  # empty: the host has none; None: not asked yet

    @property
    def is_connected(self) -> bool:
        return self._session.transport.is_active()

    def digests(self, root: bytes, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        batch: list[RemoteEntry] = []
        batch_bytes = 0
        for entry in entries:
            batch.append(entry)
            batch_bytes += entry.size_bytes or 0
            if len(batch) >= FILES_MAX or batch_bytes >= BYTES_MAX:
                yield from self._ask(root, batch, batch_bytes)
                batch, batch_bytes = [], 0
        yield from self._ask(root, batch, batch_bytes)

    def prove(self, root: bytes, path: bytes, receiver: Receiver) -> int:
        """The byte to go on from: the receiver's offset where the host's file begins with what it has,
        else 0, and it is rewound."""
        offset = receiver.offset
        try:
            proved = self.prefix(root, path, offset) == receiver.prefix_sha256()
        except TransportError:
            receiver.rewind()  # else every attempt would ask again, and fail again
            raise
        if proved:
            return offset
        receiver.rewind()
        return 0

    def prefix(self, root: bytes, path: bytes, size_bytes: int) -> bytes | None:
        """The digest of a file's first bytes; None where the host cannot tell it."""
        if self.program == "":
            return None
        arguments = (folder_argument(root), path, b"%d" % size_bytes)
        lines = self._run(root, Script(PREFIX, arguments), b"", size_bytes)
        told = _PREFIX.match(lines[0]) if lines else None
        return bytes.fromhex(told[1].decode("ascii")) if told else None

    def _ask(self, root: bytes, batch: list[RemoteEntry], size_bytes: int) -> Iterator[Digested]:
        names = {encode(entry.path): entry for entry in batch}
        plain = [name for name in names if not any(sign in name for sign in _ESCAPED)]
        found: dict[bytes, bytes] = {}
        if plain and self.program != "":
            found = self._compute(root, plain, size_bytes)
        for name, entry in names.items():
            yield Digested(entry, found.get(name))

    def _compute(self, root: bytes, names: list[bytes], size_bytes: int) -> dict[bytes, bytes]:
        given = b"".join(b"./%b\0" % name for name in names)
        script = Script(DIGEST, (folder_argument(root), b"%d" % len(given)))
        found: dict[bytes, bytes] = {}
        for line in self._run(root, script, given, size_bytes):
            if (told := _LINE.fullmatch(line)) is not None:
                found[told[2]] = bytes.fromhex(told[1].decode("ascii"))
        return found

    def _run(self, root: bytes, script: Script, given: bytes, size_bytes: int) -> list[bytes]:
        """The lines of the answer, behind the program's name and before its end."""
        try:
            channel = self._session.run(script)
        except NoShell:
            self.program = ""
            return []
        try:
            channel.grace_s = size_bytes / SLOWEST_BYTES_S
            if given:
                channel.send(given)
            channel.enter(root)
            lines = self._receive(channel)
            channel.end()  # complaints are of what is gone or refused, which its absence tells
            channel.grace_s = 0.0
        except NoShell:
            self.program = ""
            return []
        finally:
            channel.close()
        return lines

    def _receive(self, channel: ShellChannel) -> list[bytes]:
        answered: list[bytes] = []
        answered_bytes = 0
        program: str | None = None
        splitter = Splitter(b"\n", _LINE_BYTES_MAX, "the host told a digest without end")
        while True:
            data = channel.receive()
            channel.complaints()
            if not data:
                raise ConnectionLost("the host's shell ended before its answer")
            for line in splitter.feed(data):
                if program is None:
                    program = self.program = show(line.strip())
                elif line == _END:
                    return answered
                else:
                    answered.append(line)
                    answered_bytes += len(line)
            if answered_bytes > _ANSWER_BYTES_MAX:
                raise ProtocolViolation("the host tells digests without end")
