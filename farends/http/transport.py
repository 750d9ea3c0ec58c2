"""HTTP and HTTPS: files behind index pages or an explicit list, a few pipelined connections."""

from __future__ import annotations

import contextlib
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
from farends.conversation import Conversation
from farends.errors import ProtocolViolation
from farends.http.client import HttpClient
from farends.http.digests import HttpDigests
from farends.http.fetch import HttpFetch
from farends.http.places import TreePlaces
from farends.http.tree import ACCEPT, HttpWalk
from farends.reaching import Reach, ReachSecret, follow_options, way_to
from farends.spec import Spec, Target, option
from farends.web.answers import status_error
from farends.web.auth import Credentials
from farends.web.url import Origin, Url, quote_path, resolve, without_user
from farends.wire.tls import (
    ClientCertificate,
    PrivateAuthority,
    show_certificate,
    trusting,
    trusting_system,
)


def _check_urls(urls: tuple[str, ...]) -> None:
    """Options are shown to whoever may see the connector."""
    for number, url in enumerate(urls, 1):
        if without_user(url) != url:
            raise ValueError(
                f"entry {number} holds a user name or password before its host: set `username`, and"
                " store the password as the secret"
            )


@dataclass(frozen=True, slots=True)
class HttpOptions(Reach):
    root: str = option(
        "Folder",
        "A path on the host whose index pages are read. Of a THREDDS server, its catalog.xml.",
        default="/",
    )
    urls: tuple[str, ...] = option(
        "Files",
        "Paths or URLs on this host; with them no index page is read.",
        default=(),
        check=_check_urls,
        most=8_000,
    )
    username: str = option("User name", "For basic and digest log-in.", default="")
    auth: Literal["none", "basic", "digest", "bearer", "header"] = option(
        "Log-in", "How the secret is shown to the host.", default="none"
    )
    header_name: str = option("Header", "For log-in by header, such as X-API-Key.", default="")
    sessions: int = option("Connections", "How many at once, 1 to 32.", default=8, least=1, most=32)

    @property
    def lists_whole(self) -> bool:
        return bool(self.urls)


@dataclass(frozen=True, slots=True)
class HttpsOptions(PrivateAuthority, HttpOptions):
    pass


@dataclass(frozen=True, slots=True, repr=False)
class HttpSecret(ReachSecret):
    password: str = option(
        "Password", "For basic and digest log-in.", default="", goes_with="username"
    )
    token: str = option("Token", "For bearer and header log-in.", default="")


@dataclass(frozen=True, slots=True, repr=False)
class HttpsSecret(HttpSecret, ClientCertificate):
    pass


class HttpTransport:
    """One thread at a time uses it; its connections wait together in `HttpClient.pump`."""

    def __init__(self, client: HttpClient, options: HttpOptions) -> None:
        self._client = client
        self._urls = options.urls
        self._root = "/" if options.urls else options.root
        self._walked: HttpWalk | None = None

    @property
    def capabilities(self) -> Capabilities:
        """What the answers so far have told."""
        return self._client.capabilities

    def walk(self) -> Iterator[Seen]:
        self._walked = HttpWalk(self._client, self._places(), self._urls)
        return iter(self._walked)

    def walk_again(self, folder: str) -> Iterator[Seen]:
        walked = self._walked or HttpWalk(self._client, self._places())
        return iter(walked.again(folder))

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        return iter(HttpFetch(self._client, self._url_of, entries, sink))

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        return iter(HttpDigests(self._client, self._url_of, entries))

    def close(self) -> None:
        self._client.close()

    def _url_of(self, path: str) -> Url:
        places = self._places() if self._walked is None else self._walked.places
        return places.url_of(path)

    def _places(self) -> TreePlaces:
        return TreePlaces(self._client.origin, self._root)


@dataclass(frozen=True, slots=True)
class _Host:
    """What every client of one host needs. The client certificate that `tls` may show is for the host
    itself: who is redirected to sees `tls_elsewhere`."""

    origin: Origin
    credentials: Credentials
    tls: ssl.SSLContext
    tls_elsewhere: ssl.SSLContext


def _http_host(target: Target) -> _Host:
    tls = trusting_system()
    return _host("http", target, tls, tls)


def _https_host(target: Target) -> _Host:
    authority, secret = target.options.ca_certificate, target.secret
    elsewhere = trusting(authority) if authority else trusting_system()
    tls = elsewhere
    if isinstance(secret, ClientCertificate) and (
        secret.client_certificate or secret.client_private_key
    ):
        tls = trusting(authority)
        show_certificate(tls, secret)
    return _host("https", target, tls, elsewhere)


def _host(scheme: str, target: Target, tls: ssl.SSLContext, tls_elsewhere: ssl.SSLContext) -> _Host:
    secret: HttpSecret = target.secret
    credentials = Credentials(
        target.options.auth,
        username=target.options.username,
        password=secret.password,
        token=secret.token,
        header_name=target.options.header_name,
    )
    origin = Origin(scheme, target.host.lower(), target.port)
    return _Host(origin, credentials, tls, tls_elsewhere)


@follow_options
def open_http(target: Target, context: Context) -> Transport:
    return _open(_http_host(target), target.options, context)


@follow_options
def open_https(target: Target, context: Context) -> Transport:
    return _open(_https_host(target), target.options, context)


def _open(host: _Host, options: HttpOptions, context: Context) -> Transport:
    client = HttpClient(
        host.origin,
        host.credentials,
        host.tls,
        host.tls_elsewhere,
        options.sessions,
        context,
    )
    try:
        client.start()
    except BaseException:
        client.close()
        raise
    return HttpTransport(client, options)


def greet_http(target: Target, context: Context) -> str:
    return _greet(_http_host(target), target.options, way_to(target, context))


def greet_https(target: Target, context: Context) -> str:
    return _greet(_https_host(target), target.options, way_to(target, context))


def _greet(host: _Host, options: HttpOptions, context: Context) -> str:
    """Asks for the folder, or for the first of the files, and says what the host makes of the log-in.

    Raises AuthRefused. Any other status is for the listing to judge, which asks for the same page.
    """
    page = _first_page(host.origin, options)
    with (
        Conversation(
            host.origin, host.credentials, host.tls, host.tls_elsewhere, context
        ) as conversation,
        conversation.follow(
            "HEAD" if options.urls else "GET", page.target, fields=ACCEPT
        ) as answer,
    ):
        if answer.status == 401:
            raise status_error(answer.head, "logging in")
        shown = "no log-in" if options.auth == "none" else f"the log-in by {options.auth}"
        led = "" if answer.url == page else f", from {answer.url.shown}"
        return f"the host answered {answer.status} to {shown}{led}"


def _first_page(origin: Origin, options: HttpOptions) -> Url:
    home = Url(origin, "/")
    for text in options.urls:
        with contextlib.suppress(ProtocolViolation):
            if (url := resolve(home, text)).origin == origin:
                return url
    root = quote_path(options.root.strip("/"))
    return Url(origin, f"/{root}/") if root and not options.urls else home


HTTP_SPEC = Spec(
    kind="http",
    title="HTTP",
    default_port=80,
    options=HttpOptions,
    secret=HttpSecret,
    open=open_http,
    greet=greet_http,
)
HTTPS_SPEC = Spec(
    kind="https",
    title="HTTPS",
    default_port=443,
    options=HttpsOptions,
    secret=HttpsSecret,
    open=open_https,
    greet=greet_https,
)
