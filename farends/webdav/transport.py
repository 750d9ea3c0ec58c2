"""WebDAV: folders listed by PROPFIND in one conversation, files fetched by the client of kind http."""

from __future__ import annotations

import ssl
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from farends.contract import (
    Capabilities,
    Context,
    Digested,
    Fetched,
    RemoteEntry,
    Seen,
    Sink,
    Transport,
)
from farends.conversation import Conversation, ConversationLimits
from farends.http.client import HttpClient
from farends.http.digests import HttpDigests
from farends.http.fetch import HttpFetch
from farends.reaching import Reach, ReachSecret, follow_options, way_to
from farends.spec import Spec, Target, Waypoint, option
from farends.web.answers import status_error
from farends.web.auth import Credentials
from farends.web.url import Origin, Url
from farends.webdav.tree import DavWalk, ask_for_folder, url_below
from farends.wire.tls import (
    ClientCertificate,
    PrivateAuthority,
    show_certificate,
    trusting,
    trusting_system,
)

SESSIONS_MAX = 32
# A folder of a million files has a listing of 1 GB. It arrives as fast as its rows are stored, so the limits are
# against a listing without an end; the patience's own clock ends one that does not move.
_LIMITS = ConversationLimits(total_s=6 * 3600.0, body_bytes_max=2 * 1024**3)
_UNENCRYPTED = Waypoint("plain http", None, None)


@dataclass(frozen=True, slots=True)
class WebdavOptions(PrivateAuthority, Reach):
    root: str = option(
        "Folder",
        "The path on the host whose content is listed, such as /remote.php/dav/files/sync.",
        default="/",
    )
    tls: bool = option(
        "TLS",
        "Encrypts the connection. Without it everybody on the way sees the password, and the port is usually 80."
        " If you change it, enter the secret again.",
        default=True,
    )
    username: str = option("User name", "For basic and digest log-in.", default="")
    auth: Literal["none", "basic", "digest", "bearer"] = option(
        "Log-in", "How the secret is shown to the host.", default="none"
    )
    sessions: int = option(
        "Connections",
        f"How many at once for files, 1 to {SESSIONS_MAX}.",
        default=8,
        least=1,
        most=SESSIONS_MAX,
    )

    def detour(self) -> tuple[Waypoint, ...]:
        """Without TLS everybody on the way may see the secret, so it is stored for that alone."""
        way = super(WebdavOptions, self).detour()
        return way if self.tls else (*way, _UNENCRYPTED)


@dataclass(frozen=True, slots=True, repr=False)
class WebdavSecret(ReachSecret, ClientCertificate):
    password: str = option(
        "Password", "For basic and digest log-in.", default="", goes_with="username"
    )
    token: str = option("Token", "For bearer log-in.", default="")


@dataclass(frozen=True, slots=True)
class _Host:
    """What the client and every conversation need of one host. The client certificate that `tls` may show is for
    the host itself: who is redirected to sees `tls_elsewhere`."""

    origin: Origin
    credentials: Credentials
    tls: ssl.SSLContext
    tls_elsewhere: ssl.SSLContext

    @classmethod
    def of(cls, target: Target) -> _Host:
        options: WebdavOptions = target.options
        secret: WebdavSecret = target.secret
        credentials = Credentials(
            options.auth,
            username=options.username,
            password=secret.password,
            token=secret.token,
            header_name="",
        )
        authority = options.ca_certificate
        elsewhere = trusting(authority) if authority else trusting_system()
        tls = elsewhere
        if options.tls and (secret.client_certificate or secret.client_private_key):
            tls = trusting(authority)
            show_certificate(tls, secret)
        origin = Origin("https" if options.tls else "http", target.host.lower(), target.port)
        return cls(origin, credentials, tls, elsewhere)

    def converse(self, context: Context) -> Conversation:
        return Conversation(
            self.origin, self.credentials, self.tls, self.tls_elsewhere, context, _LIMITS
        )


class WebdavTransport:
    """One thread at a time uses it. Each listing has a connection of its own beside those for files."""

    def __init__(self, host: _Host, client: HttpClient, root: str, context: Context) -> None:
        self._host = host
        self._client = client
        self._root = root
        self._context = context
        self._conversations: list[Conversation] = []

    @property
    def capabilities(self) -> Capabilities:
        """What the answers so far have told."""
        return self._client.capabilities

    def walk(self) -> Iterator[Seen]:
        return self._walk(self._root)

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return self._walk(f"{self._root.rstrip('/')}/{folder}")

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return iter(HttpFetch(self._client, self._url_of, entries, sink))

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return iter(HttpDigests(self._client, self._url_of, entries))

    def close(self) -> None:
        while self._conversations:
            self._conversations.pop().close()
        self._client.close()

    def _walk(self, root: str) -> Iterator[Seen]:
        conversation = self._host.converse(self._context)
        self._conversations.append(conversation)
        try:
            yield from DavWalk(conversation, root, self._client.note_host)
        finally:
            if conversation in self._conversations:
                self._conversations.remove(conversation)

    def _url_of(self, path: str) -> Url:
        return url_below(self._host.origin, self._root, path)


@follow_options
def open_webdav(target: Target, context: Context) -> Transport:
    host, options = _Host.of(target), target.options
    sessions = options.sessions
    client = HttpClient(
        host.origin, host.credentials, host.tls, host.tls_elsewhere, sessions, context
    )
    try:
        client.start()
    except BaseException:
        client.close()
        raise
    return WebdavTransport(host, client, options.root, context)


def greet_webdav(target: Target, context: Context) -> str:
    """Asks for the folder itself, and says what the host makes of the log-in.

    Raises AuthRefused. Any other status is for the listing to judge, which asks for the same folder.
    """
    options = target.options
    with (
        _Host.of(target).converse(way_to(target, context)) as conversation,
        ask_for_folder(conversation, options.root, "", depth=0) as answer,
    ):
        if answer.status == 401:
            raise status_error(answer.head, "logging in")
        shown = "no log-in" if options.auth == "none" else f"the log-in by {options.auth}"
        return f"the host answered {answer.status} to {shown}"


SPEC = Spec(
    kind="webdav",
    title="WebDAV",
    default_port=443,
    options=WebdavOptions,
    secret=WebdavSecret,
    open=open_webdav,
    greet=greet_webdav,
)
