"""Commands as they go over the control connection. Nothing else makes a line of a name."""

from __future__ import annotations

from dataclasses import dataclass

from farends.errors import AuthConfig, UnsafeName
from farends.names import encode

_ENDS = (b"\r", b"\n", b"\0")
_IAC = b"\xff"


def line(verb: bytes, path: bytes, *, telnet: bool = False) -> bytes:
    """Makes the line of one command. Raises UnsafeName for a path that holds a line end (docs/promises.md, N05).

    `telnet`: the host reads 0xFF as Telnet's escape, so it is doubled (RFC 959 §3.1.1.5).
    """
    if any(end in path for end in _ENDS):
        raise UnsafeName("a name with a line end or NUL cannot be asked for over FTP")
    return verb + b" " + (path.replace(_IAC, _IAC + _IAC) if telnet else path)


def argument(verb: bytes, text: str, what: str) -> bytes:
    """Raises AuthConfig, without the text, for one that would end the line."""
    raw = encode(text)
    if any(end in raw for end in _ENDS):
        raise AuthConfig(f"the {what} holds a line end or NUL, which FTP cannot carry")
    return verb + b" " + raw


@dataclass(frozen=True, slots=True)
class Root:
    """The folder at which paths start: the one that is walked, resolved against the log-in folder where that is known."""

    path: bytes

    @classmethod
    def resolve(cls, root: str, log_in_folder: bytes) -> Root:
        raw = encode(root)
        if raw.startswith(b"/"):
            return cls(raw)
        if raw in (b"", b"."):
            return cls(log_in_folder or b".")
        return cls((log_in_folder or b".").rstrip(b"/") + b"/" + raw)

    def at(self, path: str) -> bytes:
        """An option or a blank at the front of a name never stands at the front of an argument."""
        return self.path.rstrip(b"/") + b"/" + encode(path) if path else self.path
