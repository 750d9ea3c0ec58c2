"""The hosts that every transport is held against: add one, and the whole suite runs on it.

Each serves one folder of the local disk. A test gets a folder of its own below it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from connectors.contract import Context, Transport
from connectors.registry import get_spec
from connectors.spec import Spec, Target
from connectors.transports.http import HttpOptions, HttpSecret, HttpsOptions
from tests.hosts.asyncssh_host import running_asyncssh
from tests.hosts.certificates import make_certificates
from tests.hosts.nginx import running_nginx
from tests.hosts.python_http import running_python_http
from tests.hosts.sshd import running_sshd


@dataclass(frozen=True)
class Host:
    """`links`: links are told apart. `denies`: a folder named `denied` refuses. `raw_names`: names in
    invalid UTF-8 can be asked for. `ranges`: a part of a file can be asked for."""

    spec: Spec
    served: Path
    target: Callable[[Path], Target]
    links: bool
    denies: bool
    raw_names: bool = True
    ranges: bool = True


@dataclass(frozen=True)
class Tree:
    """One test's folder on a host."""

    host: Host
    folder: Path

    @property
    def root(self) -> PurePosixPath:
        return PurePosixPath(getattr(self.host.target(self.folder).options, "root"))  # noqa: B009

    def put(
        self, name: str | bytes, content: bytes = b"", *, modified_s: int | None = None
    ) -> Path:
        path = Path(os.fsdecode(os.fsencode(self.folder) + b"/" + os.fsencode(name)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        if modified_s is not None:
            os.utime(path, (modified_s, modified_s))
        return path

    def open(self, context: Context) -> Transport:
        return self.host.spec.open(self.host.target(self.folder), context)


@contextlib.contextmanager
def _sshd(home: Path, served: Path) -> Iterator[Host]:
    with running_sshd(home) as sshd:
        yield Host(get_spec("sftp"), served, sshd.target, links=True, denies=os.geteuid() != 0)


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


HOSTS: dict[str, Callable[[Path, Path], contextlib.AbstractContextManager[Host]]] = {
    "openssh": _sshd,
    "asyncssh": _asyncssh,
    "nginx-html": lambda home, served: _nginx(home, served, "html"),
    "nginx-json": lambda home, served: _nginx(home, served, "json"),
    "nginx-tls": _nginx_tls,
    "python-http": _python_http,
}
