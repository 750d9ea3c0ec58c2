"""Far ends that list fuzzed names: real servers on a real tree, with lies added to what they list."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import ssl
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import unquote_to_bytes

from farends.ftp.transport import FtpOptions, FtpSecret, FtpsOptions
from farends.http.transport import HttpOptions, HttpSecret
from farends.spec import Target
from farends.ssh.transport import SshOptions, SshSecret
from farends.webdav.transport import WebdavOptions, WebdavSecret
from tests.hosts.certificates import make_certificates
from tests.hosts.child import find_binary
from tests.hosts.fuzzed import LIE_BYTES, Fuzzed, is_component, read_lies
from tests.hosts.nginx import running_nginx
from tests.hosts.pyftpd import running_pyftpd
from tests.hosts.rsyncd import running_rsyncd
from tests.hosts.scripted_http import Conversation, Request, Script, scripted_http
from tests.hosts.sshd import Sshd, running_sshd

HOSTS = Path(__file__).parents[1] / "hosts"
Running = contextlib.AbstractContextManager[Target]


@dataclass(frozen=True)
class FarEnd:
    """`kinds`: what it tells apart beside files, in find's letters. `carries`: names that its listing
    can express; `plants`: that it can also be asked for; `ignored`: names that stand for the folder
    itself and are no entry; `lists_paths`: a slash in what it lists is a folder; `reads`: a row with such a
    name can be understood."""

    kind: str
    serve: Callable[[Path, Path, Path], Running]  # home, served, lies
    kinds: str = "dlpcbs"
    lies: bool = True
    carries: Callable[[bytes], bool] = lambda name: True
    plants: Callable[[bytes], bool] = lambda name: True
    ignored: tuple[bytes, ...] = ()
    lists_paths: bool = False
    reads: Callable[[bytes], bool] = lambda name: True


@contextlib.contextmanager
def _forced(home: Path, command: list[str]) -> Iterator[Sshd]:
    """A real sshd that runs this command whatever is asked for."""
    with running_sshd(home) as sshd:
        _force(sshd, home, shlex.join([sys.executable, *command]))
        yield sshd


def _force(sshd: Sshd, home: Path, command: str) -> None:
    words = command.replace('"', '\\"')
    key = (home / "user.pub").read_text()
    sshd.authorized_keys.write_text(f'command="{words}" {key}')


@contextlib.contextmanager
def _sftp(home: Path, served: Path, lies: Path) -> Iterator[Target]:
    with _forced(home, [str(HOSTS / "scripted_sftp.py"), str(served), str(lies)]) as sshd:
        yield sshd.target(served)


@contextlib.contextmanager
def _ssh(home: Path, served: Path, lies: Path) -> Iterator[Target]:
    with running_sshd(home) as sshd:
        programs = home / "programs"
        programs.mkdir()
        words = [sys.executable, str(HOSTS / "lying_find.py"), str(lies), find_binary("find")]
        (programs / "find").write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (programs / "find").chmod(0o755)
        _force(sshd, home, f'PATH={programs}:$PATH exec sh -c "$SSH_ORIGINAL_COMMAND"')
        options = sshd.target(served).options
        shell = SshOptions(options.username, options.root, host_key=options.host_key)
        secret = SshSecret(private_key=sshd.private_key)
        yield Target("127.0.0.1", sshd.port, shell, secret)


@contextlib.contextmanager
def _ftp(home: Path, served: Path, lies: Path, *words: str) -> Iterator[Target]:
    with running_pyftpd(home, served, "--lies", str(lies), *words) as port:
        yield Target("127.0.0.1", port, FtpOptions(root="/"), FtpSecret())


@contextlib.contextmanager
def _ftps(home: Path, served: Path, lies: Path) -> Iterator[Target]:
    made = make_certificates(home)
    with running_pyftpd(home, served, "--lies", str(lies), certificate=made.server) as port:
        options = FtpsOptions(root="/", ca_certificate=made.authority)
        yield Target("127.0.0.1", port, options, FtpSecret())


def _escaped(name: bytes) -> str:
    return "".join(f"%{byte:02x}" for byte in name)


def _html(rows: list[tuple[str, bytes, int]]) -> bytes:
    lines = []
    for kind, name, size in rows:
        slash = "/" if kind == "d" else ""
        lines.append(f'<a href="{_escaped(name)}{slash}">x</a>  14-Nov-2023 22:13  {size}\n')
    return f"<html><pre>{''.join(lines)}</pre></html>".encode()


def _json(rows: list[tuple[str, bytes, int]]) -> bytes:
    kinds = {"f": "file", "d": "directory"}
    told = [
        {
            "name": name.decode("utf-8", "surrogateescape"),
            "type": kinds.get(kind, "other"),
            "mtime": "Tue, 14 Nov 2023 22:13:21 GMT",
            "size": size,
        }
        for kind, name, size in rows
    ]
    return json.dumps(told, ensure_ascii=False).encode("utf-8", "surrogateescape")


def _dav(rows: list[tuple[str, bytes, int]]) -> bytes:
    responses = []
    for kind, name, size in [("d", b"", 0), *rows]:
        told = "<resourcetype><collection/></resourcetype>"
        if kind != "d":
            told = f"<resourcetype/><getcontentlength>{size}</getcontentlength>"
        responses.append(
            f"<response><href>FOLDER/{_escaped(name)}</href><propstat><prop>{told}</prop>"
            "<status>HTTP/1.1 200 OK</status></propstat></response>"
        )
    return f'<multistatus xmlns="DAV:">{"".join(responses)}</multistatus>'.encode()


def _web(
    served: Path, lies: Path, write: Callable[[list[tuple[str, bytes, int]]], bytes]
) -> Script:
    root = os.fsencode(served)

    def rows_of(folder: bytes) -> list[tuple[str, bytes, int]]:
        with os.scandir(root + folder) as found:
            rows = [
                ("d" if each.is_dir(follow_symlinks=False) else "f", each.name, each.stat().st_size)
                for each in found
            ]
        if folder == b"/":
            rows += [(kind, name, LIE_BYTES) for kind, name in read_lies(lies)]
        return rows

    def script(request: Request, conversation: Conversation) -> None:
        path = unquote_to_bytes(request.target)
        if request.target.endswith("/"):
            body = write(rows_of(path))
        else:
            fd = os.open(root + path, os.O_RDONLY)
            body = os.read(fd, 65536)
            os.close(fd)
        moment = "Last-Modified: Tue, 14 Nov 2023 22:13:21 GMT"
        if request.method == "HEAD":
            head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{moment}\r\n\r\n"
            conversation.say(head.encode())
        elif request.method == "PROPFIND":
            body = body.replace(b"FOLDER/", escape(request.target).encode())
            conversation.answer(body, status="207 Multi-Status")
        else:
            conversation.answer(body, moment)

    return script


@contextlib.contextmanager
def _http(home: Path, served: Path, lies: Path, *, write: Callable[..., bytes]) -> Iterator[Target]:
    with scripted_http(_web(served, lies, write)) as host:
        yield host.target()


@contextlib.contextmanager
def _webdav(home: Path, served: Path, lies: Path) -> Iterator[Target]:
    with scripted_http(_web(served, lies, _dav)) as host:
        yield Target("127.0.0.1", host.port, WebdavOptions(tls=False), WebdavSecret())


@contextlib.contextmanager
def _https(home: Path, served: Path, lies: Path) -> Iterator[Target]:
    made = make_certificates(home)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(made.server)
    with scripted_http(_web(served, lies, _html), tls) as host:
        yield host.tls_target(made.authority)


@contextlib.contextmanager
def _nginx(home: Path, served: Path, lies: Path) -> Iterator[Target]:
    with running_nginx(home, served) as port:
        yield Target("127.0.0.1", port, HttpOptions(root="/"), HttpSecret())


@contextlib.contextmanager
def _rsync(home: Path, served: Path, lies: Path) -> Iterator[Target]:
    with running_rsyncd(home, served) as daemon:
        yield daemon.target(served)


def _one_line(name: bytes) -> bool:
    return b"\n" not in name


def _is_a_name(name: bytes) -> bool:
    """A row with a NUL was damaged on its way, and one without a name says nothing."""
    return bool(name) and b"\0" not in name


def _without_ends(name: bytes) -> bool:
    return b"\n" not in name and b"\r" not in name


DOTS = (b".", b"..")
FAR_ENDS: dict[str, FarEnd] = {
    "sftp": FarEnd("sftp", _sftp, ignored=DOTS),
    "ssh": FarEnd(
        "ssh", _ssh, carries=lambda name: b"\0" not in name, ignored=(b"",), lists_paths=True
    ),
    "ftp-mlsd": FarEnd(
        "ftp",
        _ftp,
        kinds="d",
        carries=_one_line,
        plants=_without_ends,
        ignored=DOTS,
        reads=_is_a_name,
    ),
    "ftp-list": FarEnd(
        "ftp",
        lambda home, served, lies: _ftp(home, served, lies, "--plain"),
        kinds="lpcbs",  # pyftpdlib enters no folder whose name is no UTF-8
        carries=_one_line,
        plants=_without_ends,
        ignored=DOTS,
        reads=_is_a_name,
    ),
    "ftps": FarEnd(
        "ftps",
        _ftps,
        kinds="d",
        carries=_one_line,
        plants=_without_ends,
        ignored=DOTS,
        reads=_is_a_name,
    ),
    "http-html": FarEnd(
        "http", lambda h, s, lies: _http(h, s, lies, write=_html), kinds="d", ignored=(b"",)
    ),
    "http-json": FarEnd("http", lambda h, s, lies: _http(h, s, lies, write=_json), kinds="d"),
    "https": FarEnd("https", _https, kinds="d", ignored=(b"",)),
    "webdav": FarEnd("webdav", _webdav, kinds="d", ignored=(b"",)),
    "http-nginx": FarEnd(
        "http", _nginx, kinds="d", lies=False, plants=lambda name: name[:1] != b"."
    ),
    "rsync": FarEnd("rsync", _rsync, lies=False),
}


def outcome_of(far: FarEnd, each: Fuzzed) -> str:
    """synced, refused, ignored, unread, or gone: a safe path, but nobody has the file."""
    if each.name in far.ignored:
        return "ignored"
    if not far.reads(each.name):
        return "unread"
    if each.real:
        return "synced" if each.kind in "fd" else "refused"
    parts = each.name.split(b"/")
    safe = all(map(is_component, parts)) and len(each.name) <= 4_096 and len(parts) <= 256
    if not (safe and far.lists_paths):
        return "refused"
    return {"f": "gone", "d": "ignored"}.get(each.kind, "refused")  # a folder is no entry
