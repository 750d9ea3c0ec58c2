"""SFTP: files over SSH, many requests in flight on one channel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from farends.contract import (
    Capabilities,
    Context,
    Digested,
    Fetched,
    RemoteEntry,
    Remover,
    Seen,
    Sink,
)
from farends.names import encode
from farends.reaching import follow_options, way_to
from farends.secure_shell.channel import ChannelDuplex
from farends.secure_shell.commands import ShellSession
from farends.secure_shell.digests import Digester
from farends.secure_shell.end import SshReach, SshReachSecret, ssh_end
from farends.secure_shell.session import open_ssh_session
from farends.sftp.client import SftpClient
from farends.sftp.digests import NAME, SftpDigests
from farends.sftp.fetch import Fetch
from farends.sftp.proving import SftpProver
from farends.sftp.remove import SftpRemover
from farends.sftp.tree import TreeWalk, remote_path
from farends.spec import Spec, Target, option
from farends.wire.far_text import show


@dataclass(frozen=True, slots=True)
class SftpOptions(SshReach):
    username: str = option("User name", "Who logs in on the host.")
    root: str = option("Folder", "Where to read; relative to the log-in folder.", default=".")


@dataclass(frozen=True, slots=True, repr=False)
class SftpSecret(SshReachSecret):
    password: str = option(
        "Password", "For log-in by password or prompt.", default="", goes_with="username"
    )


class SftpTransport:
    """One SSH connection with one SFTP channel; used by one thread at a time."""

    def __init__(
        self, client: SftpClient, digester: Digester, root: str, server_software: str
    ) -> None:
        self._client = client
        self._digests = SftpDigests(client)
        self._prover = SftpProver(self._digests, digester)
        self._root = encode(str(PurePosixPath(root)))
        self._capabilities = Capabilities(server_software=server_software)

    @property
    def capabilities(self) -> Capabilities:
        if not self._digests.told:
            return self._capabilities
        return replace(self._capabilities, digests=NAME)

    def walk(self) -> Iterator[Seen]:
        return iter(TreeWalk(self._client, self._root))

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return iter(TreeWalk(self._client, remote_path(self._root, folder)))

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return iter(Fetch(self._client, self._prover, self._root, entries, sink))

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return self._digests.digests(self._root, entries)

    def remover(self) -> Remover:
        """Goes on with this connection, which is its own from here on."""
        return SftpRemover(self._client, self._root)

    def close(self) -> None:
        self._client.close()


def connect_sftp(target: Target, context: Context) -> SftpTransport:
    options: SftpOptions = target.options
    end = ssh_end(target)
    session = open_ssh_session(end, context)
    duplex = ChannelDuplex.for_subsystem(session, "sftp", context)
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
    digester = Digester(ShellSession(session, context))
    software = show(session.remote_version) + end.terms.warning
    return SftpTransport(client, digester, options.root, software)


SPEC = Spec(
    kind="sftp",
    title="SFTP",
    default_port=22,
    options=SftpOptions,
    secret=SftpSecret,
    open=follow_options(connect_sftp),
    open_remover=lambda target, context: connect_sftp(target, way_to(target, context)).remover(),
)
