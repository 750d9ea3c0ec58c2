"""Deletes and moves files by a shell on the host: names come as data, never as words of a command."""

from __future__ import annotations

from connectors.contract import RemoteEntry
from connectors.errors import AlreadyThere, ConnectionLost, ProtocolViolation
from connectors.names import encode
from connectors.wire.shell_channel import ShellChannel, ShellSession
from connectors.wire.shell_describe import Describer
from connectors.wire.shell_records import Complaint, RecordSplitter
from connectors.wire.shell_scripts import CLEAR, CLEAR_ONE, Script, folder_argument
from connectors.wire.shown import shown


class ShellRemover:
    """Paths are relative to the root. One shell stays, and is asked as often as there is something."""

    def __init__(self, session: ShellSession, root: bytes) -> None:
        self._session = session
        self._root = root
        self._describer = Describer(session, root)
        self._channel: ShellChannel | None = None

    def find(self, path: str) -> RemoteEntry | None:
        raw = encode(path)
        record = self._describer.describe([raw]).get(raw)
        if record is None or record.kind != b"f":
            return None
        return RemoteEntry(path, record.size_bytes, record.modified_ns)

    def remove(self, path: str) -> None:
        self._do(b"remove", b"./" + encode(path))

    def move(self, path: str, to: str) -> None:
        folder = to.rpartition("/")[0]
        self._do(b"move", b"./" + encode(path), b"./" + encode(to), b"./" + encode(folder))

    def close(self) -> None:
        self._session.close()

    def _do(self, *words: bytes) -> None:
        channel = self._channel or self._start()
        data = b"".join(word + b"\0" for word in words)
        channel.send(b"%d\n" % len(data) + data)
        status, said = self._answer(channel)
        if status == b"there":
            raise AlreadyThere
        if status != b"0":
            raise Complaint(b"", shown(said.rpartition(b": ")[2] or b"refused")).error()

    def _answer(self, channel: ShellChannel) -> tuple[bytes, bytes]:
        splitter = RecordSplitter()
        while data := channel.receive():
            for raw in splitter.feed(data):
                word, _, rest = raw.partition(b" ")
                if word != b"end":
                    raise ProtocolViolation(f"the host's shell said {shown(raw[:100])}")
                status, _, said = rest.partition(b" ")
                return status, said
        raise ConnectionLost("the host's shell ended before its answer")

    def _start(self) -> ShellChannel:
        script = Script(CLEAR, (folder_argument(self._root), CLEAR_ONE))
        self._channel = self._session.run(script)
        self._channel.enter(self._root)
        return self._channel
