"""Deletes and moves files over FTP (RFC 959 §4.1.3), one at a time, never over what is there."""

from __future__ import annotations

from farends.contract import RemoteEntry
from farends.errors import AlreadyThere, TransportError, Vanished
from farends.ftp.client import FtpClient
from farends.ftp.command import Root
from farends.ftp.describe import Described, ask_description
from farends.ftp.reply import Reply, make_refusal
from farends.ftp.rows import Kind
from farends.ftp.session import Session

ASKED_MAX = 3


class FtpRemover:
    """Paths are relative to the root."""

    def __init__(self, client: FtpClient, root: Root) -> None:
        self._client = client
        self._root = root
        self._session: Session | None = None
        self._made: set[str] = set()

    def find(self, path: str) -> RemoteEntry | None:
        described = self._describe(path)
        if described.kind not in (None, Kind.FILE):
            return None
        if not described.known:
            refused = described.refused
            if refused is None or isinstance(refused, Vanished):
                return None
            raise refused
        return RemoteEntry(path, described.size_bytes, described.modified_ns)

    def remove(self, path: str) -> None:
        self._do(b"DELE", path, "deleting the file")

    def move(self, path: str, to: str) -> None:
        """Most hosts let a rename replace what is there, so that is looked at first."""
        self._client.line(b"RNTO", self._root.at(to))  # refuses a name before anything is done
        if self._describe(to).known:
            raise AlreadyThere
        self._make_folder(to.rpartition("/")[0])
        self._do(b"RNFR", path, "moving the file", hoped=350)
        self._do(b"RNTO", to, "moving the file")

    def close(self) -> None:
        self._client.close()

    def _describe(self, path: str) -> Described:
        for _ in range(ASKED_MAX):
            described = self._describe_once(path)
            if not described.again:
                break
        return described

    def _describe_once(self, path: str) -> Described:
        answers: list[Described] = []
        ask_description(self._client, self._take(), self._root.at(path), answers.append)
        while not answers:
            self._client.pump()
        if answers[0].lost is not None:
            raise answers[0].lost
        return answers[0]

    def _make_folder(self, folder: str) -> None:
        """Makes a folder and those above it. A refusal is left to the rename, which then fails."""
        if not folder or folder in self._made:
            return
        self._make_folder(folder.rpartition("/")[0])
        self._ask(b"MKD", folder)
        self._made.add(folder)

    def _do(self, verb: bytes, path: str, doing: str, *, hoped: int = 250) -> None:
        reply = self._ask(verb, path)
        if reply.code != hoped and not (hoped == 250 and reply.completed):
            raise make_refusal(reply, doing)

    def _ask(self, verb: bytes, path: str) -> Reply:
        answers: list[Reply | TransportError] = []
        self._take().send(self._client.line(verb, self._root.at(path)), answers.append)
        while not answers:
            self._client.pump()
        if isinstance(answers[0], TransportError):
            raise answers[0]
        return answers[0]

    def _take(self) -> Session:
        while self._session is None or self._session.over:
            self._session = self._client.take(self)
            if self._session is None:
                self._client.pump()
        return self._session
