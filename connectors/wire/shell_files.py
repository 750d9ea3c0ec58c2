"""Two ways to the files of a host that was logged in to by SSH: its shell, or else SFTP."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator

from connectors.contract import (
    Context,
    Digested,
    Fetched,
    RemoteEntry,
    Remover,
    Seen,
    Sink,
)
from connectors.names import encode
from connectors.wire.sftp_client import SftpClient
from connectors.wire.sftp_digests import SftpDigests
from connectors.wire.sftp_fetch import Fetch
from connectors.wire.sftp_proving import SftpProver
from connectors.wire.sftp_remove import SftpRemover
from connectors.wire.sftp_stream import RemoteFile
from connectors.wire.sftp_tree import TreeWalk, remote_path
from connectors.wire.shell_channel import ShellSession
from connectors.wire.shell_digests import Digester
from connectors.wire.shell_fetch import ShellFetch
from connectors.wire.shell_remove import ShellRemover
from connectors.wire.shell_stream import ShellFile
from connectors.wire.shell_tree import ShellTree
from connectors.wire.ssh_channel import ChannelDuplex


class ShellFiles:
    def __init__(self, session: ShellSession) -> None:
        self._session = session
        self._digester = Digester(session)

    @property
    def digests_by(self) -> str:
        return self._digester.program or ""

    def walk(self, root: bytes) -> Iterator[Seen]:
        return iter(ShellTree(self._session, root))

    def fetch(self, root: bytes, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return iter(ShellFetch(self._session, self._digester, root, entries, sink))

    def digests(self, root: bytes, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return self._digester.digests(root, entries)

    def open(self, root: bytes, path: str, offset: int) -> io.RawIOBase:
        return ShellFile(self._session, root, encode(path), offset)

    def remover(self, root: bytes) -> Remover:
        return ShellRemover(self._session, root)

    def close(self) -> None:
        self._session.close()


class SftpFiles:
    """Digests are still asked of a shell: a host without GNU tools may have one."""

    def __init__(self, client: SftpClient, digester: Digester) -> None:
        self._client = client
        self._digester = digester
        self._prover = SftpProver(SftpDigests(client), digester)

    @property
    def digests_by(self) -> str:
        return self._digester.program or ""

    @classmethod
    def start(cls, session: ShellSession, context: Context) -> SftpFiles:
        """The transport is closed when this raises."""
        duplex = ChannelDuplex.for_subsystem(session.transport, "sftp", context)
        try:
            client = SftpClient(
                duplex,
                idle_s=context.patience.idle_s,
                check=context.check,
                moved=context.moved,
            )
            client.start()
        except BaseException:
            duplex.close()
            raise
        return cls(client, Digester(session))

    def walk(self, root: bytes) -> Iterator[Seen]:
        return iter(TreeWalk(self._client, root))

    def fetch(self, root: bytes, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return iter(Fetch(self._client, self._prover, root, entries, sink))

    def digests(self, root: bytes, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return self._digester.digests(root, entries)

    def open(self, root: bytes, path: str, offset: int) -> io.RawIOBase:
        return RemoteFile(self._client, remote_path(root, path), offset)

    def remover(self, root: bytes) -> Remover:
        return SftpRemover(self._client, root)

    def close(self) -> None:
        self._client.close()
