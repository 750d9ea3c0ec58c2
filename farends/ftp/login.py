"""How a control connection becomes a session: dialogs that ask and are answered, without any socket."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum, auto

from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionStage,
    ProtocolViolation,
    Throttled,
    TlsRefused,
    TransportError,
)
from farends.ftp.command import argument
from farends.ftp.list_times import ListClock
from farends.ftp.reply import Reply, make_refusal, says_full
from farends.wire.far_text import show

HASH, XSHA256 = b"HASH", b"XSHA256"
ANONYMOUS = ("anonymous", "ftp")
_PWD = re.compile(rb'"((?:[^"]|"")*)"')


class Ask(Enum):
    """What a dialog asks for beside commands."""

    GREETING = auto()
    TLS = auto()


Dialog = Generator[bytes | Ask, Reply, None]


@dataclass(frozen=True, slots=True, repr=False)
class FtpLogin:
    username: str
    password: str
    account: str

    @property
    def anonymous(self) -> bool:
        return self.username.lower() in ANONYMOUS


@dataclass
class Features:
    """What the host can do. Found wanting on the way, a feature is switched off for all sessions."""

    mlsd: bool = False
    mlst: bool = False
    mlst_works: bool = False  # it has answered
    mlst_sizes: bool = True  # whether MLST tells the sizes of files
    stat: bool = True  # whether STAT may list a file
    mdtm: bool = True
    size: bool = True
    utf8: bool = False
    passive: bytes = b"EPSV"
    passive_known: bool = False  # only then may a transfer be asked for in the same write
    data_agreed: bool = False  # a data connection has come about, TLS included
    list_hidden: bool = True  # whether LIST takes -a
    telnet: bool = False  # whether 0xFF is an escape: no reply tells, so it is known by the make
    list_clock: ListClock | None = None  # how to read LIST's times, where somebody knows its zone
    times_listed: bool = False  # some times came from LIST
    rest_honoured: bool | None = None  # whether REST does what it says; None: not tried yet
    digests: bytes = b""  # the command that tells a file's SHA-256
    prefix_digests: bytes = b""  # the one that may tell it of a file's first bytes
    fractions: bool = False  # whether times with fractions of a second were seen
    list_zone_s: int | None = None  # how far the times of LIST are ahead of UTC; None: not seen
    log_in_folder: bytes = b""
    software: str = ""


def secure(features: Features, *, tls: bool, implicit: bool) -> Dialog:
    """Reads the greeting, and starts TLS before it sends anything else. Raises TlsRefused where the host
    has no TLS: nothing goes in plain text (docs/promises.md, F09)."""
    if implicit:
        yield Ask.TLS
    greeting = yield Ask.GREETING
    if not greeting.completed:
        raise _log_in_error(greeting, "greeting", ConnectionStage.CONNECT)
    features.software = show(b" ".join(greeting.lines), 120)
    if tls and not implicit:
        reply = yield b"AUTH TLS"
        if reply.code != 234:
            raise TlsRefused(f"the host refuses TLS: {reply.text} ({reply.code})")
        yield Ask.TLS


def protect() -> Dialog:
    """Data connections under TLS too (RFC 4217 §9)."""
    yield b"PBSZ 0"
    reply = yield b"PROT P"
    if not reply.completed:
        raise TlsRefused(f"the host refuses TLS for data: {reply.text} ({reply.code})")


def give_credentials(login: FtpLogin) -> Dialog:
    reply = yield argument(b"USER", login.username, "user name")
    if reply.code == 331:
        password = login.password
        if login.anonymous and not password:
            password = "anonymous@"  # noqa: S105 — what the anonymous say
        reply = yield argument(b"PASS", password, "password")
    if reply.code in (332, 532):
        if not login.account:
            raise AuthConfig("the host asks for an account, and none is stored")
        reply = yield argument(b"ACCT", login.account, "account")
    if not reply.completed:
        raise _log_in_error(reply, "log-in", ConnectionStage.LOG_IN)


def _log_in_error(reply: Reply, doing: str, stage: ConnectionStage) -> TransportError:
    message = f"{doing}: {reply.text} ({reply.code})"
    error: TransportError
    if says_full(reply):
        error = Throttled(message)
    elif 500 <= reply.code < 600 or reply.code == 430:
        error = AuthRefused(message)
    else:
        error = type(make_refusal(reply, doing))(message)
    error.stage = stage
    return error


def ask_features(features: Features) -> Dialog:
    """What the host can do; asked once, by the first session."""
    reply = yield b"FEAT"
    if reply.completed:
        told = [raw.strip().upper().split(b" ")[0] for raw in reply.lines]
        features.mlsd = features.mlst = b"MLST" in told or b"MLSD" in told
        features.utf8 = b"UTF8" in told
        features.digests = _digest_command(reply.lines)
        # ProFTPD's HASH knows no RANG, and answers for the whole file.
        features.prefix_digests = XSHA256 if XSHA256 in told else features.digests
        features.telnet = b"MFF" in told or "ProFTPD" in features.software
    reply = yield b"PWD"
    found = _PWD.search(reply.lines[0]) if reply.code == 257 else None
    if found is not None and found[1].startswith(b"/"):
        features.log_in_folder = found[1].replace(b'""', b'"')
    reply = yield b"SYST"
    if reply.completed and b"UNIX" not in reply.lines[0].upper():
        features.list_hidden = False


def _digest_command(lines: tuple[bytes, ...]) -> bytes:
    """`HASH SHA-1;SHA-256*;MD5` names what it can compute; XSHA256 takes no names with blanks."""
    told = [raw.strip().upper().partition(b" ") for raw in lines]
    for verb, _, words in told:
        if verb == HASH and b"SHA-256" in words.replace(b"*", b"").split(b";"):
            return HASH
    return XSHA256 if any(verb == XSHA256 for verb, _, _ in told) else b""


def set_up_session(features: Features) -> Dialog:
    """What each session is told once."""
    reply = yield b"TYPE I"
    if not reply.completed:
        raise ProtocolViolation(f"the host refuses binary transfers: {reply.text} ({reply.code})")
    if features.utf8:
        yield b"OPTS UTF8 ON"
    if features.mlst:
        yield b"OPTS MLST type;size;modify;unique;"


def whole(login: FtpLogin, features: Features, *, tls: bool, implicit: bool, first: bool) -> Dialog:
    yield from secure(features, tls=tls, implicit=implicit)
    yield from give_credentials(login)
    if tls:
        yield from protect()
    if first:
        yield from ask_features(features)
    yield from set_up_session(features)
