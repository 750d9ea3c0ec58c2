"""Two ways to the files of a host that was logged in to by SSH: its shell, or else SFTP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from farends.contract import (
    Context,
    Digested,
    Fetched,
    RemoteEntry,
    Remover,
    Seen,
    Sink,
)
from farends.secure_shell.channel import ChannelDuplex
from farends.secure_shell.commands import ShellSession
from farends.secure_shell.digests import Digester
from farends.sftp.client import SftpClient
from farends.sftp.digests import SftpDigests
from farends.sftp.fetch import Fetch
from farends.sftp.proving import SftpProver
from farends.sftp.remove import SftpRemover
from farends.sftp.tree import TreeWalk
from farends.ssh.fetch import ShellFetch
from farends.ssh.remove import ShellRemover
from farends.ssh.tree import ShellTree


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

    def remover(self, root: bytes) -> Remover:
        return SftpRemover(self._client, root)

    def close(self) -> None:
        self._client.close()
