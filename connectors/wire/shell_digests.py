"""SHA-256 of many files by a program of the host: few commands, no content on the way."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from connectors.contract import Digested, RemoteEntry
from connectors.errors import ConnectionLost, ProtocolViolation
from connectors.names import encode
from connectors.wire.shell_channel import NoShell, ShellChannel, ShellSession
from connectors.wire.shell_scripts import DIGEST, Script, folder_argument
from connectors.wire.shown import shown

FILES_MAX = 1_000
BYTES_MAX = 1 << 30
SLOWEST_BYTES_S = 4 << 20  # a host that reads slower than this counts as silent
_LINE_BYTES_MAX = 64 * 1024
_END = b"end"
# The programs' common form, with a name that is known to need no escape.
_LINE = re.compile(rb"\\?([0-9a-fA-F]{64}) [ *]?\./(.*)")
_ESCAPED = (b"\n", b"\r", b"\\")


class Digester:
    """One script for each batch, in the session's shell."""

    def __init__(self, session: ShellSession) -> None:
        self._session = session
        self.program: str | None = None  # empty: the host has none; None: not asked yet

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
        try:
            channel = self._session.run(script)
        except NoShell:
            self.program = ""
            return {}
        try:
            channel.grace_s = size_bytes / SLOWEST_BYTES_S
            channel.send(given)
            channel.enter(root)
            found = self._receive(channel)
            channel.end()  # complaints are of what is gone or refused, which its absence tells
            channel.grace_s = 0.0
        except NoShell:
            self.program = ""
            return {}
        finally:
            channel.close()
        return found

    def _receive(self, channel: ShellChannel) -> dict[bytes, bytes]:
        found: dict[bytes, bytes] = {}
        program: str | None = None
        rest = b""
        while True:
            data = channel.receive()
            channel.complaints()
            if not data:
                raise ConnectionLost("the host's shell ended before its answer")
            *lines, rest = (rest + data).split(b"\n")
            if len(rest) > _LINE_BYTES_MAX:
                raise ProtocolViolation("the host told a digest without end")
            for line in lines:
                if program is None:
                    program = self.program = shown(line.strip())
                elif line == _END:
                    return found
                elif (told := _LINE.fullmatch(line)) is not None:
                    found[told[2]] = bytes.fromhex(told[1].decode("ascii"))
