"""FTP and FTPS: several control connections in one loop, passive data connections only."""

from __future__ import annotations

import ssl
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

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
from farends.errors import AuthConfig
from farends.ftp.client import FtpClient
from farends.ftp.command import Root, line
from farends.ftp.digests import FtpDigests
from farends.ftp.fetch import FtpFetch
from farends.ftp.list_times import PRECISION_NS, ListClock
from farends.ftp.login import Features, FtpLogin
from farends.ftp.remove import FtpRemover
from farends.ftp.rows import FRACTION_NS, SECOND_NS
from farends.ftp.socket import Tls
from farends.ftp.tree import FtpWalk
from farends.reaching import Reach, ReachSecret, follow_options, way_to
from farends.spec import Spec, Target, option
from farends.wire.tls import ClientCertificate, PrivateAuthority, show_certificate, trusting

SESSIONS_MAX = 16


def _check_zone(name: str) -> None:
    try:
        if name:
            ZoneInfo(name)
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("must be an IANA time zone, such as Europe/Berlin") from None


@dataclass(frozen=True, slots=True)
class _Common(Reach):
    username: str = option("User name", "Without one the log-in is anonymous.", default="anonymous")
    root: str = option("Folder", "Where to read; relative to the log-in folder.", default=".")
    sessions: int = option(
        "Connections",
        "Control connections at once, 1 to 16; 0: by the distance, 4 to a near host and 16 to one"
        " whose answers take over 5 ms. Data connections are always passive. Where the host grants"
        " fewer, the sync uses those.",
        default=0,
        least=0,
        most=SESSIONS_MAX,
    )

    list_timezone: str = option(
        "Zone of the listing",
        "An IANA name such as Europe/Berlin. Only for old hosts that tell no time by MLSD or MDTM: with"
        " it the times of their LIST are read, to the minute; without it sizes alone tell changes.",
        default="",
        advanced=True,
        check=_check_zone,
    )


@dataclass(frozen=True, slots=True)
class FtpOptions(_Common):
    allow_plaintext_password: bool = option(
        "Allow a plain-text password",
        "Plain FTP shows the password to everybody on the way. Without this only anonymous log-in"
        " is used; FTPS needs no such permission.",
        default=False,
    )


@dataclass(frozen=True, slots=True)
class FtpsOptions(PrivateAuthority, _Common):
    implicit_tls: bool = option(
        "Implicit TLS",
        "TLS from the first byte, usually on port 990, instead of AUTH TLS on port 21.",
        default=False,
    )
    min_tls: Literal["1.0", "1.1", "1.2", "1.3"] = option(
        "Oldest TLS version",
        "Below 1.2 only for old hosts that know nothing better: such TLS can be broken.",
        default="1.2",
    )


@dataclass(frozen=True, slots=True, repr=False)
class FtpSecret(ReachSecret):
    password: str = option(
        "Password", "Of the user; not needed for anonymous.", default="", goes_with="username"
    )
    account: str = option("Account", "Only for hosts that ask for one (ACCT).", default="")


@dataclass(frozen=True, slots=True, repr=False)
class FtpsSecret(FtpSecret, ClientCertificate):
    pass


class FtpTransport:
    """One thread at a time uses it; its sessions wait together in `FtpClient.pump`."""

    def __init__(self, client: FtpClient, root: str) -> None:
        """Raises UnsafeName for a root that no command can carry."""
        self._client = client
        self._root = Root.resolve(str(PurePosixPath(root)), client.features.log_in_folder)
        line(b"CWD", self._root.path)

    @property
    def capabilities(self) -> Capabilities:
        features = self._client.features
        return Capabilities(
            modified_precision_ns=_precision_ns(features),
            ranges=features.rest_honoured is not False,
            proves_parts=bool(features.prefix_digests),
            ranges_tried=features.rest_honoured is not None,
            server_software=features.software,
            list_zone_s=features.list_zone_s,
            digests=features.digests.decode("ascii"),
        )

    def walk(self) -> Iterator[Seen]:
        return iter(FtpWalk(self._client, self._root))

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return iter(FtpWalk(self._client, Root(self._root.at(folder))))

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return iter(FtpFetch(self._client, self._root, entries, sink))

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return iter(FtpDigests(self._client, self._root, entries))

    def remover(self) -> Remover:
        """Goes on with this connection, which is its own from here on."""
        return FtpRemover(self._client, self._root)

    def close(self) -> None:
        self._client.close()


_VERSIONS = {
    "1.0": ssl.TLSVersion.TLSv1,
    "1.1": ssl.TLSVersion.TLSv1_1,
    "1.2": ssl.TLSVersion.TLSv1_2,
    "1.3": ssl.TLSVersion.TLSv1_3,
}


def _tls_context(target: Target) -> ssl.SSLContext:
    options: FtpsOptions = target.options
    context = trusting(options.ca_certificate)
    with warnings.catch_warnings():
        # Python deprecates the names of old versions, not their use by who must.
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = _VERSIONS[options.min_tls]
    if options.min_tls in ("1.0", "1.1"):
        context.set_ciphers("DEFAULT:@SECLEVEL=0")  # their handshake signs with SHA-1
    if isinstance(target.secret, ClientCertificate):
        show_certificate(context, target.secret)
    return context


def _login(target: Target) -> FtpLogin:
    return FtpLogin(target.options.username, target.secret.password, target.secret.account)


def _precision_ns(features: Features) -> int:
    if features.times_listed:
        return PRECISION_NS
    return FRACTION_NS if features.fractions else SECOND_NS


def connect_ftp(target: Target, context: Context) -> FtpTransport:
    """Raises AuthConfig before anything is sent where a password would go in plain text unasked."""
    options: FtpOptions = target.options
    login = _login(target)
    if not options.allow_plaintext_password and not (login.anonymous and not login.account):
        raise AuthConfig(
            "plain FTP would send the password readable by everybody on the way. Use ftps or sftp;"
            " if this host can do neither, set allow_plaintext_password"
        )
    return _open(target, context, login)


def connect_ftps(target: Target, context: Context) -> FtpTransport:
    options: FtpsOptions = target.options
    tls = Tls(_tls_context(target), target.host)
    return _open(target, context, _login(target), tls=tls, implicit=options.implicit_tls)


def _open(
    target: Target,
    context: Context,
    login: FtpLogin,
    *,
    tls: Tls | None = None,
    implicit: bool = False,
) -> FtpTransport:
    sessions = target.options.sessions
    client = FtpClient(
        target.host, target.port, login, context, sessions=sessions, tls=tls, implicit=implicit
    )
    if zone := target.options.list_timezone:
        client.features.list_clock = ListClock(ZoneInfo(zone), datetime.now(UTC))
    try:
        client.start()
        return FtpTransport(client, target.options.root)
    except BaseException:
        client.close()
        raise


FTP_SPEC = Spec(
    kind="ftp",
    title="FTP",
    default_port=21,
    options=FtpOptions,
    secret=FtpSecret,
    open=follow_options(connect_ftp),
    open_remover=lambda target, context: connect_ftp(target, way_to(target, context)).remover(),
)
FTPS_SPEC = Spec(
    kind="ftps",
    title="FTPS",
    default_port=21,
    options=FtpsOptions,
    secret=FtpsSecret,
    open=follow_options(connect_ftps),
    open_remover=lambda target, context: connect_ftps(target, way_to(target, context)).remover(),
)
