"""The hosts that every transport is held against: add one, and the whole suite runs on it.

Each serves one folder of the local disk. A test gets a folder of its own below it.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote

from farends.contract import Context, Transport
from farends.ftp.transport import FTP_SPEC, FTPS_SPEC, FtpOptions, FtpSecret, FtpsOptions
from farends.http.transport import HttpOptions, HttpSecret, HttpsOptions
from farends.mcp.options import McpOptions, McpSecret
from farends.registry import get_spec
from farends.rsync import transport as rsync
from farends.spec import Spec, Target
from farends.ssh import transport as ssh
from farends.ssh.transfer import PREFIX_BYTES_MIN
from farends.webdav.transport import WebdavOptions, WebdavSecret
from tests.engine.folder_view import FolderView
from tests.engine.memory import MemoryOptions, MemorySecret, memory_spec
from tests.hosts.asyncssh_host import running_asyncssh
from tests.hosts.certificates import make_certificates
from tests.hosts.digest_http import running_digest_http
from tests.hosts.folder_mcp import running_folder_mcp
from tests.hosts.nginx import running_nginx
from tests.hosts.proftpd import PASSWORD, USERNAME, running_proftpd
from tests.hosts.proftpd_sftp import running_proftpd_sftp
from tests.hosts.pyftpd import running_pyftpd
from tests.hosts.python_http import running_python_http
from tests.hosts.rclone_dav import running_rclone_dav
from tests.hosts.rsyncd import running_rsyncd
from tests.hosts.sshd import running_sshd
from tests.hosts.vsftpd import running_vsftpd


@dataclass(frozen=True)
class Host:
    """`links`: links are told apart. `denies`: a folder named `denied` refuses. `raw_names`: names in
    invalid UTF-8 can be asked for. `ranges`: a part of a file can be asked for. `digests`: it computes a file's SHA-256."""

    spec: Spec
    served: Path
    target: Callable[[Path], Target]
    links: bool
    denies: bool
    raw_names: bool = True
    ranges: bool = True
    digests: bool = False  # it computes SHA-256 itself
    proves_from: int | None = (
        None  # of a file's first so many bytes it can tell whether they are its own
    )
    bare_facts: bool = False  # a dangling link is left out, a FIFO looks like a file
    metadata: bool = True  # it tells of folders, and of a file's size and time
    many: int = 2_000  # files that a test puts into one folder


@dataclass(frozen=True)
class Tree:
    """One test's folder on a host."""

    host: Host
    folder: Path

    def put(
        self, name: str | bytes, content: bytes = b"", *, modified_s: int | None = None
    ) -> Path:
        path = Path(os.fsdecode(os.fsencode(self.folder) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if modified_s is not None:
            os.utime(path, (modified_s, modified_s))
        return path

    def open(self, context: Context, folder: str = "") -> Transport:
        return self.host.spec.open(self.host.target(self.folder / folder), context)


@contextlib.contextmanager
def _sshd(home: Path, served: Path) -> Iterator[Host]:
    with running_sshd(home) as sshd:
        denies = os.geteuid() != 0
        yield Host(get_spec("sftp"), served, sshd.target, links=True, denies=denies, proves_from=1)


@contextlib.contextmanager
def _ssh(home: Path, served: Path) -> Iterator[Host]:
    with running_sshd(home) as sshd:

        def target(folder: Path) -> Target:
            sftp = sshd.target(folder)
            options = ssh.SshOptions(
                sftp.options.username, sftp.options.root, host_key=sftp.options.host_key
            )
            return Target(
                sftp.host, sftp.port, options, ssh.SshSecret(private_key=sshd.private_key)
            )

        yield Host(
            ssh.SPEC,
            served,
            target,
            links=True,
            denies=os.geteuid() != 0,
            digests=True,
            proves_from=PREFIX_BYTES_MIN,
        )


@contextlib.contextmanager
def _rsync_ssh(home: Path, served: Path) -> Iterator[Host]:
    with running_sshd(home) as sshd:

        def target(folder: Path) -> Target:
            sftp = sshd.target(folder).options
            options = rsync.RsyncOptions(sftp.username, sftp.root, True, host_key=sftp.host_key)
            secret = rsync.RsyncSecret(private_key=sshd.private_key)
            return Target("127.0.0.1", sshd.port, options, secret)

        yield Host(rsync.SPEC, served, target, links=True, denies=os.geteuid() != 0, ranges=False)


@contextlib.contextmanager
def _rsyncd(home: Path, served: Path) -> Iterator[Host]:
    with running_rsyncd(home, served) as daemon:
        yield Host(rsync.SPEC, served, daemon.target, links=True, denies=True, ranges=False)


@contextlib.contextmanager
def _proftpd_sftp(home: Path, served: Path) -> Iterator[Host]:
    with running_proftpd_sftp(home) as target:
        # Of a range of more than 16 KiB it computes the digest to the file's end.
        yield Host(
            get_spec("sftp"), served, target, links=True, denies=os.geteuid() != 0, digests=True
        )


@contextlib.contextmanager
def _asyncssh(home: Path, served: Path) -> Iterator[Host]:
    with running_asyncssh(home, served) as host:
        yield Host(get_spec("sftp"), served, host.target, links=True, denies=True)


def _http_target(port: int, served: Path) -> Callable[[Path], Target]:
    def target(folder: Path) -> Target:
        root = "/" + folder.relative_to(served).as_posix()
        return Target("127.0.0.1", port, HttpOptions(root=root), HttpSecret())

    return target


@contextlib.contextmanager
def _nginx(home: Path, served: Path, form: str) -> Iterator[Host]:
    with running_nginx(home, served, form=form) as port:
        target = _http_target(port, served)
        yield Host(get_spec("http"), served, target, links=False, denies=True)


@contextlib.contextmanager
def _nginx_tls(home: Path, served: Path) -> Iterator[Host]:
    certificates = make_certificates(home)
    with running_nginx(home, served, certificate=certificates.server) as port:

        def target(folder: Path) -> Target:
            root = "/" + folder.relative_to(served).as_posix()
            options = HttpsOptions(root=root, ca_certificate=certificates.authority)
            return Target("127.0.0.1", port, options, HttpSecret())

        yield Host(get_spec("https"), served, target, links=False, denies=True)


@contextlib.contextmanager
def _python_http(home: Path, served: Path) -> Iterator[Host]:
    with running_python_http(home, served) as port:
        target = _http_target(port, served)
        yield Host(
            get_spec("http"),
            served,
            target,
            links=False,
            denies=False,
            raw_names=False,
            ranges=False,
        )


@contextlib.contextmanager
def _digest_http(home: Path, served: Path) -> Iterator[Host]:
    with running_digest_http(home, served) as port:
        yield Host(
            get_spec("http"),
            served,
            _http_target(port, served),
            links=False,
            denies=False,
            raw_names=False,
            ranges=False,
            digests=True,
        )


@contextlib.contextmanager
def _rclone_dav(home: Path, served: Path, *, tls: bool = False) -> Iterator[Host]:
    made = make_certificates(home) if tls else None
    flags = ("--cert", str(made.server), "--key", str(made.server)) if made else ()
    with running_rclone_dav(home, served, flags=flags) as port:

        def target(folder: Path) -> Target:
            options = WebdavOptions(
                root="/" + folder.relative_to(served).as_posix(),
                tls=tls,
                ca_certificate=made.authority if made else "",
            )
            return Target("127.0.0.1", port, options, WebdavSecret())

        spec, denies = get_spec("webdav"), os.geteuid() != 0
        # Once is enough: it looks at the whole folder for each of its files.
        many = 400 if tls else 2_000
        yield Host(spec, served, target, links=False, denies=denies, raw_names=False, many=many)


def _ftp_host(
    served: Path,
    port: int,
    root_of: Callable[[Path], str],
    authority: str | None,
    *,
    links: bool = True,
    log_in: bool = False,
) -> Host:
    """Over TLS with an authority, else plain; anonymous, unless it is to `log_in`."""
    username = USERNAME if log_in else "anonymous"
    secret = FtpSecret(password=PASSWORD if log_in else "")

    def target(folder: Path) -> Target:
        root = root_of(folder)
        options = (
            FtpOptions(username=username, root=root, allow_plaintext_password=log_in)
            if authority is None
            else FtpsOptions(username=username, root=root, ca_certificate=authority)
        )
        return Target("127.0.0.1", port, options, secret)

    spec = FTP_SPEC if authority is None else FTPS_SPEC
    return Host(spec, served, target, links=links, denies=True)


@contextlib.contextmanager
def _pyftpd(home: Path, served: Path, *, tls: bool = False) -> Iterator[Host]:
    made = make_certificates(home) if tls else None
    with running_pyftpd(home, served, certificate=made.server if made else None) as port:

        def root_of(folder: Path) -> str:
            return f"/{folder.relative_to(served)}"

        authority = made.authority if made else None
        yield _ftp_host(served, port, root_of, authority, links=False)


@contextlib.contextmanager
def _vsftpd(home: Path, served: Path, *, tls: bool = False) -> Iterator[Host]:
    made = make_certificates(home) if tls else None
    with running_vsftpd(home, served, certificate=made.server if made else None) as running:
        authority = made.authority if made else None
        yield _ftp_host(served, running.port, running.root, authority)


@contextlib.contextmanager
def _proftpd(home: Path, served: Path, *, tls: bool = False) -> Iterator[Host]:
    made = make_certificates(home) if tls else None
    with running_proftpd(home, certificate=made.server if made else None) as port:
        authority = made.authority if made else None
        yield replace(
            _ftp_host(served, port, str, authority, log_in=True),
            denies=os.geteuid() != 0,
            bare_facts=True,
            digests=True,
            proves_from=1,
        )


@contextlib.contextmanager
def _mcp(home: Path, served: Path) -> Iterator[Host]:
    with running_folder_mcp(served) as port:

        def target(folder: Path) -> Target:
            path = f"/mcp/{quote(str(folder.relative_to(served)))}"
            return Target("127.0.0.1", port, McpOptions(scheme="http", path=path), McpSecret())

        spec = get_spec("mcp")
        yield Host(spec, served, target, links=False, denies=False, ranges=False, metadata=False)


@contextlib.contextmanager
def _memory(home: Path, served: Path) -> Iterator[Host]:
    """The far end of the engine's tests: of it nothing but the transport is real. Something listens where
    the connection test looks for a host."""

    def find_files(root: PurePosixPath) -> FolderView | None:
        return FolderView(Path(root)) if Path(root).is_dir() else None

    spec = memory_spec(find_files)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def target(folder: Path) -> Target:
            return Target("127.0.0.1", port, MemoryOptions(root=str(folder)), MemorySecret())

        yield Host(spec, served, target, links=True, denies=True, digests=True, proves_from=1)


HOSTS: dict[str, Callable[[Path, Path], contextlib.AbstractContextManager[Host]]] = {
    "mcp": _mcp,
    "memory": _memory,
    "openssh": _sshd,
    "openssh-shell": _ssh,
    "rsync-daemon": _rsyncd,
    "rsync-ssh": _rsync_ssh,
    "asyncssh": _asyncssh,
    "proftpd-sftp": _proftpd_sftp,
    "nginx-html": lambda home, served: _nginx(home, served, "html"),
    "nginx-json": lambda home, served: _nginx(home, served, "json"),
    "nginx-tls": _nginx_tls,
    "python-http": _python_http,
    "python-http-digests": _digest_http,
    "rclone-webdav": _rclone_dav,
    "rclone-webdav-tls": lambda home, served: _rclone_dav(home, served, tls=True),
    "pyftpdlib": _pyftpd,
    "pyftpdlib-tls": lambda home, served: _pyftpd(home, served, tls=True),
    "vsftpd": _vsftpd,
    "vsftpd-tls": lambda home, served: _vsftpd(home, served, tls=True),
    "proftpd": _proftpd,
    "proftpd-tls": lambda home, served: _proftpd(home, served, tls=True),
}
