"""How a SOCKS5 or HTTP proxy is asked for a connection: dialogs without any socket.

RFC 1928 and 1929 for SOCKS5; RFC 9110 §9.3.6 for HTTP's CONNECT. A dialog reads no byte more than is
its own, because the far end may speak first.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Generator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, ip_address
from urllib.parse import urlsplit

from farends.errors import AuthConfig, ConnectionStage, ProtocolViolation, ProxyRefused, Unreachable
from farends.names import printable

SCHEMES = ("socks5", "http")
_HEAD_BYTES_MAX = 16 * 1024
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] ([1-5][0-9]{2})(?: (.*))?")
_OUT_OF_REACH = {"502", "503", "504"}
_NOT_ALLOWED = 2
_ANSWERS = {
    1: "general failure",
    _NOT_ALLOWED: "its rules do not allow this connection",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "no answer in time",
    7: "it does not make connections",
    8: "it does not know this type of address",
}

# What to send, and how many bytes to read then.
Dialog = Generator[tuple[bytes, int], bytes, None]


@dataclass(frozen=True, slots=True)
class Proxy:
    scheme: str
    host: str
    port: int
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"


def parse_proxy(text: str, username: str = "", password: str = "") -> Proxy | None:
    """Returns None for the empty text. Raises ValueError with words that follow the option's name."""
    if not text:
        return None
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError("must be like socks5://host:1080 or http://host:3128") from None
    if parts.username is not None:
        raise ValueError("must not hold user name or password: they go into the secret")
    whole = parts.scheme in SCHEMES and parts.hostname and port
    if not whole or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("must be like socks5://host:1080 or http://host:3128")
    return Proxy(parts.scheme, str(parts.hostname), port or 0, username, password)


def ask_proxy(proxy: Proxy, host: str, port: int) -> Dialog:
    """Asks for a connection to an address or an ASCII name, and ends where its bytes begin.

    Raises ProxyRefused, Unreachable, ProtocolViolation, AuthConfig.
    """
    if proxy.scheme == "http":
        return _connect(proxy, host, port)
    return _socks5(proxy, host, port)


def _socks5(proxy: Proxy, host: str, port: int) -> Dialog:
    ways = b"\x00\x02" if proxy.username else b"\x00"
    chosen = yield bytes([5, len(ways)]) + ways, 2
    if chosen[0] != 5:
        raise ProtocolViolation("the proxy speaks no SOCKS5", stage=ConnectionStage.CONNECT)
    if chosen[1] == 2 and proxy.username:
        said = yield b"\x01" + _counted(proxy.username) + _counted(proxy.password), 2
        if said[1]:
            raise ProxyRefused("the proxy refused its user name or password")
    elif chosen[1] == 0xFF:
        without = "" if proxy.username else " without a user name and password"
        raise ProxyRefused(f"the proxy refused the log-in{without}")
    elif chosen[1]:
        raise ProtocolViolation(
            "the proxy asks for what was not offered", stage=ConnectionStage.CONNECT
        )
    head = yield b"\x05\x01\x00" + _address(host) + port.to_bytes(2, "big"), 4
    if head[0] != 5:
        raise ProtocolViolation("the proxy speaks no SOCKS5", stage=ConnectionStage.CONNECT)
    if head[1]:
        _refuse(head[1], host, port)
    length = {1: 4, 4: 16}.get(head[3])
    if length is None:
        length = (yield b"", 1)[0]
    yield b"", length + 2  # where the proxy connects from: nothing to know


def _refuse(code: int, host: str, port: int) -> None:
    words = _ANSWERS.get(code, f"answer {code}")
    if code in (1, 3, 4, 5, 6):
        raise Unreachable(f"the proxy cannot reach {host}:{port}: {words}")
    raise ProxyRefused(f"the proxy refused {host}:{port}: {words}")


def _counted(text: str) -> bytes:
    data = text.encode()
    if len(data) > 255:
        raise AuthConfig("a user name or password over 255 bytes cannot be told to a SOCKS5 proxy")
    return bytes([len(data)]) + data


def _address(host: str) -> bytes:
    try:
        address = ip_address(host)
    except ValueError:
        return b"\x03" + _counted(host)
    return (b"\x01" if isinstance(address, IPv4Address) else b"\x04") + address.packed


def _connect(proxy: Proxy, host: str, port: int) -> Dialog:
    name = f"[{host}]" if ":" in host else host
    lines = [f"CONNECT {name}:{port} HTTP/1.1", f"Host: {name}:{port}"]
    if proxy.username:
        pair = base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode("ascii")
        lines.append(f"Proxy-Authorization: Basic {pair}")
    head = yield "\r\n".join([*lines, "", ""]).encode("ascii"), 1
    while not head.endswith(b"\r\n\r\n"):
        if len(head) > _HEAD_BYTES_MAX:
            raise ProtocolViolation("the proxy answers without end", stage=ConnectionStage.CONNECT)
        head += yield b"", 1
    found = _STATUS_LINE.fullmatch(head.partition(b"\r\n")[0])
    if found is None:
        raise ProtocolViolation("the proxy speaks no HTTP", stage=ConnectionStage.CONNECT)
    status, reason = found[1].decode("ascii"), printable((found[2] or b"").decode("latin-1"), 100)
    if status.startswith("2"):
        return
    if status in _OUT_OF_REACH:
        raise Unreachable(f"the proxy cannot reach {host}:{port}: {status} {reason}")
    if status == "407":
        told = "its user name or password" if proxy.username else "to work without a user name"
        raise ProxyRefused(f"the proxy refused {told} ({status} {reason})")
    raise ProxyRefused(f"the proxy refused {host}:{port}: {status} {reason}")
