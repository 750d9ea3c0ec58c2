"""The tools that people use, each as a command that copies a whole tree into a folder."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Site:
    """One far end as a peer needs it."""

    kind: str
    port: int
    folder: Path  # on this machine, for verification
    key: Path | None = None
    known_hosts: Path | None = None
    module: str = ""
    user: str = ""
    password: str = ""
    host: str = "127.0.0.1"
    passive_ports: range = range(0)  # of a host whose data come on connections of their own

    @property
    def path(self) -> str:
        return str(self.folder)


@dataclass(frozen=True, slots=True)
class Peer:
    name: str
    command: Callable[[Site, Path], list[str]]
    needs: str  # the program
    is_parallel: bool = True  # else not worth waiting for over a slow line


RCLONE = str(Path(sys.executable).parent / "rclone")


def _rclone_sftp(site: Site, into: Path) -> list[str]:
    remote = (
        f":sftp,host={site.host},port={site.port},user={getpass.getuser()},key_file={site.key},"
        f"known_hosts_file={site.known_hosts},disable_hashcheck=true:{site.path}"
    )
    return _rclone(remote, into)


def _rclone_http(site: Site, into: Path) -> list[str]:
    scheme = site.kind
    return [
        *_rclone(f":http,url='{scheme}://{site.host}:{site.port}/':", into),
        "--no-check-certificate",
    ]


def _rclone(remote: str, into: Path) -> list[str]:
    return [
        RCLONE,
        "copy",
        remote,
        str(into),
        "--transfers",
        "16",
        "--checkers",
        "16",
        "--config",
        "",
    ]


def _ssh(site: Site) -> str:
    return (
        f"ssh -F none -p {site.port} -i {site.key} -o UserKnownHostsFile={site.known_hosts}"
        " -o IdentitiesOnly=yes -c aes128-gcm@openssh.com"
    )


def _lftp(site: Site, into: Path) -> list[str]:
    settings = "set net:max-retries 1; set xfer:log no; set ssl:verify-certificate no;"
    settings += " set ftp:prefer-epsv yes;"
    if site.kind == "sftp":
        settings += f" set sftp:connect-program '{_ssh(site)} -a -x';"
    if site.kind == "ftps":
        settings += " set ftp:ssl-force yes; set ftp:ssl-protect-data yes;"
    scheme = "ftp" if site.kind == "ftps" else site.kind
    user = f"{getpass.getuser()}:x@" if site.kind == "sftp" else ""
    if site.user:
        user = f"'{site.user}:{site.password.replace(' ', '%20').replace(',', '%2C')}'@"
    path = "" if site.kind in ("http", "https") else site.path
    if site.kind in ("ftp", "ftps"):
        path = f"/{path}"  # an absolute path, by lftp's rule
    address = f"{scheme}://{user}{site.host}:{site.port}{path}"
    return ["lftp", "-c", f"{settings} open {address}; mirror -P8 --no-perms . {into}"]


def _rsync_ssh(site: Site, into: Path) -> list[str]:
    return [
        "rsync",
        "-a",
        "-e",
        _ssh(site),
        f"{getpass.getuser()}@{site.host}:{site.path}/",
        f"{into}/",
    ]


def _ssh_tar(site: Site, into: Path) -> list[str]:
    pull = f"{_ssh(site)} {getpass.getuser()}@{site.host} tar -C {site.path} -cf - . | tar -C {into} -xf -"
    return ["sh", "-c", pull]


def _rsync(site: Site, into: Path) -> list[str]:
    return ["rsync", "-a", f"rsync://{site.host}:{site.port}/{site.module}/", f"{into}/"]


def _wget(site: Site, into: Path) -> list[str]:
    return [
        "wget", "-r", "-np", "-nH", "-q", "-N", "--no-check-certificate", "-e", "robots=off",
        "-R", "index.html*", "-P", str(into), f"{site.kind}://{site.host}:{site.port}/",
    ]  # fmt: skip


PEERS: Mapping[str, tuple[Peer, ...]] = {
    "sftp": (Peer("rclone", _rclone_sftp, RCLONE), Peer("lftp -P8", _lftp, "lftp")),
    "ssh": (Peer("rsync over ssh", _rsync_ssh, "rsync"), Peer("ssh tar", _ssh_tar, "ssh")),
    "rsync": (Peer("rsync", _rsync, "rsync"),),
    "http": (
        Peer("rclone", _rclone_http, RCLONE),
        Peer("lftp -P8", _lftp, "lftp"),
        Peer("wget -r", _wget, "wget", is_parallel=False),
    ),
    "https": (
        Peer("rclone", _rclone_http, RCLONE),
        Peer("lftp -P8", _lftp, "lftp"),
        Peer("wget -r", _wget, "wget", is_parallel=False),
    ),
    "ftp": (Peer("lftp -P8", _lftp, "lftp"),),
    "ftps": (Peer("lftp -P8", _lftp, "lftp"),),
}


def available(kind: str) -> list[Peer]:
    return [peer for peer in PEERS[kind] if shutil.which(peer.needs)]


class Failed(Exception):
    """The peer ended with an error; the message is its last words."""


def run(peer: Peer, site: Site, into: Path) -> None:
    """Raises Failed."""
    environment = {"HOME": str(into.parent), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    done = subprocess.run(  # noqa: S603 — our own list of commands
        peer.command(site, into), env=environment, check=False, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise Failed(f"status {done.returncode}: {done.stderr.strip()[-300:]}")
