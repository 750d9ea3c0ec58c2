"""Asks again what files are like, many in one round trip, after their bytes came."""

from __future__ import annotations

from collections.abc import Iterable

from connectors.errors import ConnectionLost
from connectors.wire.shell_channel import ShellChannel, ShellSession
from connectors.wire.shell_records import Record, RecordSplitter, parse_record
from connectors.wire.shell_scripts import DESCRIBE, DESCRIBE_SOME, Script, folder_argument

_END = b"end 0 0 "


class Describer:
    """One shell that stays, asked as often as there is something to ask."""

    def __init__(self, session: ShellSession, root: bytes) -> None:
        self._session = session
        self._root = root
        self._channel: ShellChannel | None = None

    def describe(self, paths: Iterable[bytes]) -> dict[bytes, Record]:
        """Those of the paths that exist, links not followed."""
        channel = self._channel or self._start()
        names = b"".join(b"./%b\0" % path for path in paths)
        channel.send(b"%d\n" % len(names) + names)
        found: dict[bytes, Record] = {}
        splitter = RecordSplitter()
        while True:
            data = channel.receive()
            channel.complaints()  # of what is gone, which its absence tells
            if not data:
                raise ConnectionLost("the host's shell ended before its answer")
            for raw in splitter.feed(data):
                if raw == _END:
                    return found
                record = parse_record(raw)
                found[record.path.removeprefix(b"./")] = record

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None

    def _start(self) -> ShellChannel:
        script = Script(DESCRIBE, (folder_argument(self._root), DESCRIBE_SOME))
        self._channel = self._session.run(script)
        self._channel.enter(self._root)
        return self._channel
