"""A small FTP host on loopback whose answers a test replaces verb by verb, and that remembers what it
was asked.

It runs in threads of the test's own process, so that a test sees the commands.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from farends.ftp.transport import FtpOptions, FtpSecret, FtpsOptions
from farends.spec import Target

MODIFY = "20231114221321"
FEATURES = "211-Features:\r\n MLST type*;size*;modify*;\r\n REST STREAM\r\n SIZE\r\n MDTM\r\n UTF8\r\n211 End"


class Conversation:
    """One control connection, as a script sees it. `number` counts them from 0."""

    def __init__(self, connected: socket.socket, host: ScriptedFtp, number: int) -> None:
        self.socket = connected
        self.host = host
        self.number = number
        self.offset = 0
        self._listener: socket.socket | None = None

    def say(self, *lines: str) -> None:
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def listen(self) -> int:
        """Opens a passive port."""
        self.close_listener()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(10)
        port: int = self._listener.getsockname()[1]
        return port

    def accept(self) -> socket.socket:
        assert self._listener is not None
        connected, _ = self._listener.accept()
        self.close_listener()
        self.host.opened.append(connected)
        return connected

    def send(self, data: bytes, *, last: str = "226 done", reset: bool = False) -> None:
        """A whole transfer: 150, the data, the end of the data, and the `last` reply if any."""
        connected = self.accept()
        self.say("150 here it comes")
        with connected, contextlib.suppress(OSError):
            connected.sendall(data)
            if reset:
                linger = struct.pack("ii", 1, 0)
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        if last:
            self.say(last)

    def secure(self, context: ssl.SSLContext) -> None:
        self.socket = context.wrap_socket(self.socket, server_side=True)
        self.host.opened.append(self.socket)

    def hang_up(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def wait(self, seconds: float) -> bool:
        """Until the test is over, or that long. Returns whether to go on."""
        return not self.host.stopped.wait(seconds)

    def close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None


Script = Callable[[Conversation, str], None]


@dataclass
class ScriptedFtp:
    """`files` are served from the root; `scripts` take a verb's argument instead of the default."""

    port: int
    files: dict[str, bytes]
    scripts: Mapping[str, Script]
    commands: list[str] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    opened: list[socket.socket] = field(default_factory=list)

    def target(self, *, password: str = "", **options: object) -> Target:
        made = FtpOptions(root="/", **options)  # type: ignore[arg-type]
        return Target("127.0.0.1", self.port, made, FtpSecret(password=password))

    def tls_target(self, authority: str, **options: object) -> Target:
        made = FtpsOptions(root="/", ca_certificate=authority, **options)  # type: ignore[arg-type]
        return Target("127.0.0.1", self.port, made, FtpSecret(password="secret"))

    def cut(self) -> None:
        """Ends every connection there is."""
        for connected in list(self.opened):
            with contextlib.suppress(OSError):
                connected.shutdown(socket.SHUT_RDWR)

    def asked(self, verb: str) -> list[str]:
        return [command for command in self.commands if command.split(" ")[0] == verb]


def facts_of(name: str, content: bytes) -> str:
    return f"type=file;size={len(content)};modify={MODIFY}; {name}"


def _list(conversation: Conversation, argument: str) -> None:
    files = conversation.host.files.items()
    rows = "".join(f"{facts_of(name, content)}\r\n" for name, content in files)
    conversation.send(rows.encode("utf-8", "surrogateescape"))


def _retrieve(conversation: Conversation, argument: str) -> None:
    content = conversation.host.files.get(argument.removeprefix("/"))
    offset, conversation.offset = conversation.offset, 0
    if content is None:
        conversation.say("550 No such file")
    else:
        conversation.send(content[offset:])


def _restart(conversation: Conversation, argument: str) -> None:
    conversation.offset = int(argument)
    conversation.say("350 going on there")


def _describe(conversation: Conversation, argument: str) -> None:
    name = argument.removeprefix("/")
    content = conversation.host.files.get(name)
    if content is None:
        conversation.say("550 No such file")
    else:
        conversation.say("250-facts", f" {facts_of(name, content)}", "250 end")


def _saying(*lines: str) -> Script:
    return lambda conversation, argument: conversation.say(*lines)


_DEFAULTS: dict[str, Script] = {
    "GREETING": _saying("220 scripted"),
    "USER": _saying("331 and the password?"),
    "PASS": _saying("230 welcome"),
    "FEAT": _saying(FEATURES),
    "PWD": _saying('257 "/" it is'),
    "SYST": _saying("215 UNIX Type: L8"),
    "TYPE": _saying("200 fine"),
    "OPTS": _saying("200 fine"),
    "PBSZ": _saying("200 fine"),
    "PROT": _saying("200 fine"),
    "CWD": _saying("250 fine"),
    "EPSV": lambda c, _: c.say(f"229 Extended (|||{c.listen()}|)"),
    "MLSD": _list,
    "MLST": _describe,
    "RETR": _retrieve,
    "REST": _restart,
}


@contextlib.contextmanager
def scripted_ftp(files: dict[str, bytes] | None = None, **scripts: Script) -> Iterator[ScriptedFtp]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    host = ScriptedFtp(listener.getsockname()[1], files or {}, scripts)
    threads: list[threading.Thread] = []

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connected, _ = listener.accept()
                host.opened.append(connected)
                arguments = (Conversation(connected, host, len(threads)),)
                threads.append(threading.Thread(target=_converse, args=arguments))
                threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield host
    finally:
        host.stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        acceptor.join()
        host.cut()
        for thread in threads:
            thread.join()
        for connected in host.opened:
            connected.close()


def _converse(conversation: Conversation) -> None:
    scripts = _DEFAULTS | dict(conversation.host.scripts)
    refuse = _saying("502 not here")
    with contextlib.suppress(OSError):
        scripts["GREETING"](conversation, "")
        for line in _lines(conversation):
            conversation.host.commands.append(line)
            verb, _, argument = line.partition(" ")
            scripts.get(verb, refuse)(conversation, argument)
    conversation.close_listener()
    conversation.socket.close()


def _lines(conversation: Conversation) -> Iterator[str]:
    buffered = b""
    while True:
        while b"\r\n" not in buffered:
            data = conversation.socket.recv(65536)  # of the socket as it is now: TLS may have begun
            if not data:
                return
            buffered += data
        line, _, buffered = buffered.partition(b"\r\n")
        yield line.decode("utf-8", "surrogateescape")
