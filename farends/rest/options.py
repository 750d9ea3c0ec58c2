"""The options of a connector of kind `rest`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from farends.errors import ProtocolViolation
from farends.reaching import Reach, ReachSecret
from farends.spec import Waypoint, option
from farends.web.url import Origin, Url, resolve
from farends.wire.tls import PrivateAuthority

AT_ONCE_MAX = 16
ANSWER_S_MAX = 600
_UNENCRYPTED = Waypoint("plain http", None, None)
_NOWHERE = Url(Origin("https", "invalid", 443), "/")


def _check_base(path: str) -> None:
    if path and (not path.startswith("/") or path.endswith("/")):
        raise ValueError("must begin with / and not end with it")
    if "?" in path or "#" in path or not path.isprintable():
        raise ValueError("must hold neither ? nor #")


def _check_token_url(url: str) -> None:
    if url:
        read_token_url(url)


def read_token_url(url: str) -> Url:
    """Raises ValueError."""
    try:
        found = resolve(_NOWHERE, url)
    except ProtocolViolation as exc:
        raise ValueError(f"must be a URL: {exc}") from None
    if found.origin == _NOWHERE.origin:
        raise ValueError("must be a whole URL, such as https://auth.example.com/token")
    return found


def _check_answer_s(seconds: float) -> None:
    if not seconds > 0:
        raise ValueError("must be above 0")


@dataclass(frozen=True, slots=True)
class RestOptions(PrivateAuthority, Reach):
    scheme: Literal["https", "http"] = option(
        "Scheme",
        "With http everybody on the way sees the secret. If you change it, enter the secret again.",
        default="https",
    )
    base: str = option(
        "Base path", "What stands before the path of each entity, such as /v1.",
        default="", check=_check_base,
    )  # fmt: skip
    auth: Literal[
        "none", "basic", "bearer", "header", "query", "oauth2_client_credentials", "oauth2_refresh_token"
    ] = option(
        "Log-in",
        "basic: user name and password. bearer: the token in Authorization. header, query: the key in the field"
        " or the parameter that auth_name names. oauth2_*: a token from token_url, and a new one where the API"
        " takes the last no more.",
        default="none",
    )  # fmt: skip
    auth_name: str = option(
        "Name of the key", "The header field, or the parameter of the query, that carries the key.",
        default="X-API-Key",
    )  # fmt: skip
    username: str = option("User name", "For basic log-in.", default="")
    token_url: str = option(
        "Token URL",
        "Where OAuth2 tokens are given. Client secret and refresh token are sent there and nowhere else. If you"
        " change its host, enter the secret again.",
        default="",
        check=_check_token_url,
    )
    client_id: str = option("Client id", "Who asks for OAuth2 tokens.", default="")
    scope: str = option("Scope", "Of OAuth2 tokens, separated by spaces.", default="")
    requests_per_s: float = option(
        "Requests a second", "At most, of one sync; 0 for no limit.",
        default=0.0, least=0, most=1_000_000,
    )  # fmt: skip
    requests_at_once: int = option(
        "Requests at once",
        f"Pages that are on their way together where the API counts pages or rows, 1 to {AT_ONCE_MAX}.",
        default=8,
        advanced=True,
        least=1,
        most=AT_ONCE_MAX,
    )
    answer_timeout_s: float = option(
        "Time-out of an answer", "Seconds that one answer may take as a whole.",
        default=120.0, advanced=True, check=_check_answer_s, least=0, most=ANSWER_S_MAX,
    )  # fmt: skip

    def detour(self) -> tuple[Waypoint, ...]:
        """A secret is stored for https or http, and for who gives tokens: another host must not get it."""
        way = super(RestOptions, self).detour()
        if self.scheme == "http":
            way = (*way, _UNENCRYPTED)
        if not self.token_url:
            return way
        try:
            origin = read_token_url(self.token_url).origin
            shown = f"{origin.scheme}://{origin.authority}"
        except ValueError:  # saved past the forms: nobody will ask there
            shown = self.token_url
        return (*way, Waypoint(f"tokens of {shown}", None, None))

    @property
    def root(self) -> str:
        """There is no folder to walk."""
        return ""


@dataclass(frozen=True, slots=True, repr=False)
class RestSecret(ReachSecret):
    password: str = option("Password", "For basic log-in.", default="", goes_with="username")
    token: str = option("Token", "For bearer log-in.", default="")
    key: str = option("Key", "For log-in by header or query.", default="")
    client_secret: str = option(
        "Client secret",
        "For OAuth2; empty for a client that has none.",
        default="",
        goes_with="client_id",
    )
    refresh_token: str = option(
        "Refresh token",
        "For oauth2_refresh_token. Where the host gives a new one with each token, that one is stored in its place.",
        default="",
    )
