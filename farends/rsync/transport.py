"""rsync: the program itself as a child, against a daemon or over SSH.

What arrives is read from a pipe that the program fills; it writes no file of the host to disk. rsync
3.5.0 or later is advised on this machine, for its security fixes; the host needs 3.0.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from farends.contract import (
    Capabilities,
    Context,
    Digested,
    Fetched,
    RemoteEntry,
    Seen,
    Sink,
    Transport,
    answer_undigested,
)
from farends.reaching import follow_options
from farends.rsync.daemon import daemon_far, greet
from farends.rsync.far import Far, RsyncSource, make_home
from farends.rsync.fetch import RsyncFetch
from farends.rsync.folders import Folders
from farends.rsync.over_ssh import meet, ssh_far
from farends.rsync.tree import RsyncTree
from farends.rsync.version import version_note
from farends.secure_shell.end import SshReach, SshReachSecret, refuse_jump, ssh_end
from farends.spec import Spec, Target, option


@dataclass(frozen=True, slots=True)
class RsyncOptions(SshReach):
    username: str = option(
        "User name", "For a module that asks for one, or for the SSH log-in.", default=""
    )
    root: str = option(
        "Module and folder",
        "Of a daemon: module/folder. Over SSH: a folder, relative to the log-in folder.",
        default=".",
    )
    over_ssh: bool = option(
        "Over SSH", "Runs rsync on the host by SSH instead of asking a daemon.", default=False
    )


@dataclass(frozen=True, slots=True, repr=False)
class RsyncSecret(SshReachSecret):
    password: str = option("Password", "Of the daemon's module.", default="", goes_with="username")


class Host(Protocol):
    """Says how rsync calls a folder there, and how far its clock is off."""

    @property
    def clock_skew_s(self) -> float | None: ...

    @property
    def clock_error_s(self) -> float: ...

    def place(self, root: PurePosixPath) -> RsyncSource: ...


class RsyncTransport:
    """A private folder and the host's address: each call is a child of its own."""

    def __init__(self, far: Far, host: Host, root: str, server_software: str) -> None:
        self._far = far
        self._host = host
        self._root = PurePosixPath(root)
        self._folders = Folders()
        self._begun: RsyncTree | None = None
        self._capabilities = Capabilities(
            ranges=False,
            proves_parts=False,
            server_software=server_software,
            clock_skew_s=host.clock_skew_s,
            clock_error_s=host.clock_error_s,
        )

    @property
    def capabilities(self) -> Capabilities:
        return self._capabilities

    def log_in(self) -> None:
        """Begins the listing that is nearly always wanted next: its first words tell what a log-in would."""
        self._begun = self._begin()
        self._begun.log_in()

    def walk(self) -> Iterator[Seen]:
        begun, self._begun = self._begun, None
        return iter(begun if begun is not None else self._begin())

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return iter(RsyncTree(self._far, self._host.place(self._root / folder), Folders()))

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        place = self._host.place(self._root)
        return iter(RsyncFetch(self._far, place, self._folders, entries, sink))

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return answer_undigested(entries)

    def close(self) -> None:
        if self._begun is not None:
            self._begun.close()
        self._far.close()

    def _begin(self) -> RsyncTree:
        self._folders = Folders()
        return RsyncTree(self._far, self._host.place(self._root), self._folders)


@follow_options
def open_rsync(target: Target, context: Context) -> Transport:
    options: RsyncOptions = target.options
    note = version_note()
    if options.over_ssh:
        far, host, software = _over_ssh(target, context)
    else:
        far, host, software = _to_daemon(target, context)
    transport = RsyncTransport(far, host, options.root, f"{software}{note}")
    if not options.over_ssh:
        try:
            transport.log_in()
        except BaseException:
            transport.close()
            raise
    return transport


def _to_daemon(target: Target, context: Context) -> tuple[Far, Host, str]:
    options: RsyncOptions = target.options
    refuse_jump(options)
    daemon = greet(target.host, target.port, options.username, context)
    daemon.place(PurePosixPath(options.root))
    home = make_home()
    try:
        far = daemon_far(daemon, target.secret.password, home, context)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    return far, daemon, daemon.greeting


def _over_ssh(target: Target, context: Context) -> tuple[Far, Host, str]:
    end = ssh_end(target)
    met = meet(end, context)
    home = make_home()
    try:
        far = ssh_far(met, home, context)
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    return far, met, met.server_software + end.terms.warning


SPEC = Spec(
    kind="rsync",
    title="rsync",
    default_port=873,
    options=RsyncOptions,
    secret=RsyncSecret,
    open=open_rsync,
)
