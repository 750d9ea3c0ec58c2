"""SSH: files out of one shell on the host, a `find` for the tree and a `tar` for each batch of files.

A host that runs no commands, or lacks the GNU tools, is read by SFTP instead; the capabilities say so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Protocol

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
from farends.errors import TransportError
from farends.names import encode
from farends.reaching import follow_options, way_to
from farends.secure_shell.commands import NoShell, ShellSession
from farends.secure_shell.end import SshReach, SshReachSecret, ssh_end
from farends.secure_shell.session import open_ssh_session
from farends.sftp.tree import remote_path
from farends.spec import Spec, Target, option
from farends.ssh.files import SftpFiles, ShellFiles
from farends.ssh.probe import probe_shell
from farends.wire.far_text import show


@dataclass(frozen=True, slots=True)
class SshOptions(SshReach):
    username: str = option("User name", "Who logs in on the host; needs a shell there.")
    root: str = option("Folder", "Where to read; relative to the log-in folder.", default=".")


@dataclass(frozen=True, slots=True, repr=False)
class SshSecret(SshReachSecret):
    password: str = option(
        "Password", "Used where there is no private key.", default="", goes_with="username"
    )


class Files(Protocol):
    """How the files of a host are read."""

    def walk(self, root: bytes) -> Iterator[Seen]: ...

    def fetch(
        self, root: bytes, entries: Iterable[RemoteEntry], sink: Sink
    ) -> Iterator[Fetched]: ...

    def digests(self, root: bytes, entries: Iterable[RemoteEntry]) -> Iterator[Digested]: ...

    @property
    def digests_by(self) -> str: ...

    def remover(self, root: bytes) -> Remover: ...

    def close(self) -> None: ...


class SshTransport:
    """One SSH connection; used by one thread at a time."""

    def __init__(self, files: Files, root: str, capabilities: Capabilities) -> None:
        self._files = files
        self._root = encode(str(PurePosixPath(root)))
        self._capabilities = capabilities

    @property
    def capabilities(self) -> Capabilities:
        program = self._files.digests_by
        return replace(self._capabilities, digests=program) if program else self._capabilities

    def walk(self) -> Iterator[Seen]:
        return self._files.walk(self._root)

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return self._files.walk(remote_path(self._root, folder))

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return self._files.fetch(self._root, entries, sink)

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return self._files.digests(self._root, entries)

    def remover(self) -> Remover:
        """Goes on with this connection, which is its own from here on."""
        return self._files.remover(self._root)

    def close(self) -> None:
        self._files.close()


def connect_ssh(target: Target, context: Context) -> SshTransport:
    options: SshOptions = target.options
    end = ssh_end(target)
    connected = open_ssh_session(end, context)
    session = ShellSession(connected, context)
    server = show(connected.remote_version) + end.terms.warning
    try:
        shell = probe_shell(session, encode(options.root))
    except NoShell as no_shell:
        files, software = _without_shell(session, context, no_shell), f"{server}; read by SFTP"
        return SshTransport(files, options.root, Capabilities(server_software=software))
    except BaseException:
        session.close()
        raise
    capabilities = Capabilities(
        modified_precision_ns=shell.modified_precision_ns,
        server_software=f"{server}; GNU tar {shell.tar_version}",
        clock_skew_s=shell.clock_skew_s,
        clock_error_s=shell.clock_error_s,
    )
    return SshTransport(ShellFiles(session), options.root, capabilities)


def _without_shell(session: ShellSession, context: Context, no_shell: NoShell) -> SftpFiles:
    try:
        return SftpFiles.start(session, context)
    except TransportError as exc:
        raise NoShell(f"{no_shell}; and it speaks no SFTP: {exc}") from exc


SPEC = Spec(
    kind="ssh",
    title="SSH",
    default_port=22,
    options=SshOptions,
    secret=SshSecret,
    open=follow_options(connect_ssh),
    open_remover=lambda target, context: connect_ssh(target, way_to(target, context)).remover(),
)
