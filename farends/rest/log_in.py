"""What each request to an API carries as its log-in, and how an OAuth2 token is got (RFC 6749)."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import msgspec

from farends.contract import Context
from farends.conversation import Conversation, ConversationLimits
from farends.errors import (
    AuthConfig,
    AuthRefused,
    ConnectionStage,
    Throttled,
    TransientError,
    TransportError,
)
from farends.masking import Mask, make_mask
from farends.rest.options import RestOptions, RestSecret, read_token_url
from farends.rest.resource import write_query
from farends.web.answers import read_wait
from farends.web.auth import Credentials
from farends.wire.far_text import show
from farends.wire.tls import trusting, trusting_system

_PLAIN = {"none", "basic", "bearer", "header"}
# Two such questions fit the time that a transaction may stand idle: `connectors.renewing` holds one.
_LIMITS = ConversationLimits(
    total_s=8.0, progress_bytes=64, body_bytes_max=1 << 20, redirects_max=0
)
# Only a person mends these. Anything else that an authority answers may be its own trouble.
_FINAL = frozenset({"invalid_grant", "invalid_client", "unauthorized_client"})
_FORM = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


class LogIn:
    """A log-in that stays as it is: by a header field, or by a parameter of the query."""

    renews = False
    term = 0  # counts the tokens so far
    mask: Mask | None = None  # hides what the stored secret does not have, such as a token

    def __init__(self, options: RestOptions, secret: RestSecret) -> None:
        auth = options.auth
        token = secret.key if auth in ("header", "query") else secret.token
        self.query: tuple[tuple[str, str], ...] = ()
        if auth == "query":
            if not secret.key:
                raise AuthConfig("this way to log in needs the key")
            self.query = ((options.auth_name, secret.key),)
        self._credentials = Credentials(
            auth if auth in _PLAIN else "none",
            username=options.username,
            password=secret.password,
            token=token,
            header_name=options.auth_name,
        )

    def fields(self, method: str, target: str) -> Mapping[str, str]:
        return self._credentials.fields(method, target)

    def take_challenge(self, www_authenticate: str) -> bool:
        return False

    def renew(self, term: int) -> None:
        """Gets a token in the place of that one, unless somebody has. Raises AuthRefused, TransportError."""


class OAuthLogIn(LogIn):
    """A token from an authority. It is got at the first request; what the authority gives in the place of a refresh
    token is stored before the token is used."""

    renews = True

    def __init__(self, options: RestOptions, secret: RestSecret, context: Context) -> None:
        super().__init__(options, secret)
        if not options.token_url:
            raise AuthConfig("this way to log in needs token_url")
        self._options = options
        self._client_secret = secret.client_secret
        self._refresh_token = secret.refresh_token
        self._refreshes = options.auth == "oauth2_refresh_token"
        if self._refreshes and not secret.refresh_token:
            raise AuthConfig("this way to log in needs the refresh token")
        self._context = context
        self._in_body = not secret.client_secret
        self._lock = threading.Lock()
        self._token = ""

    def fields(self, method: str, target: str) -> Mapping[str, str]:
        return {"Authorization": f"Bearer {self._token}"} if self._token else {}

    def renew(self, term: int) -> None:
        with self._lock:
            if term == self.term:
                self._renew()

    def _renew(self) -> None:
        granted: list[str] = []

        def exchange(stored: Mapping[str, str]) -> Mapping[str, str]:
            """Another process may have got a newer refresh token meanwhile."""
            refresh_token = stored.get("refresh_token") or self._refresh_token
            said = self._ask(refresh_token)
            token, new = said.get("access_token"), said.get("refresh_token")
            if (
                not isinstance(token, str)
                or not token
                or not token.isascii()
                or not token.isprintable()
            ):
                raise AuthRefused(f"the answer of {self._place} holds no access_token")
            granted.append(token)
            if self._refreshes and isinstance(new, str) and new and new != refresh_token:
                self._refresh_token = new
                self._hide(token)
                return {"refresh_token": new}
            self._refresh_token = refresh_token
            self._hide(token)
            return {}

        if self._refreshes:
            self._context.renew_secret(exchange)
        else:
            exchange({})
        self._token = granted[0]
        self.term += 1

    def _hide(self, token: str) -> None:
        self.mask = make_mask([token, self._refresh_token, self._client_secret])

    @property
    def _place(self) -> str:
        return read_token_url(self._options.token_url).shown

    def _ask(self, refresh_token: str) -> Mapping[str, Any]:
        form = [("grant_type", "client_credentials")]
        if self._refreshes:
            form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token)]
        if self._options.scope:
            form.append(("scope", self._options.scope))
        try:
            return self._post(form)
        except _ClientRefused as exc:
            # RFC 6749 §2.3.1: the client shows itself by basic log-in, and some authorities want it in the form.
            if self._in_body:
                raise exc.error from None
            self._in_body = True
        try:
            return self._post(form)
        except _ClientRefused as exc:
            self._in_body = False
            raise exc.error from None

    def _post(self, form: list[tuple[str, str]]) -> Mapping[str, Any]:
        options = self._options
        url = read_token_url(options.token_url)
        credentials = Credentials("none", username="", password="", token="", header_name="")
        if self._in_body:
            form = [*form, ("client_id", options.client_id)]
            form += [("client_secret", self._client_secret)] if self._client_secret else []
        else:
            credentials = Credentials(
                "basic",
                username=options.client_id,
                password=self._client_secret,
                token="",
                header_name="",
            )
        tls = trusting(options.ca_certificate) if options.ca_certificate else trusting_system()
        with Conversation(url.origin, credentials, tls, tls, self._context, _LIMITS) as asked:
            answer = asked.ask("POST", url.target, fields=_FORM, body=write_query(form).encode())
            with answer:
                said = _read(answer.read())
        if answer.status == 200 and "access_token" in said:
            return said
        raise self._refusal(answer.status, said, answer.head.fields)

    def _refusal(
        self, status: int, said: Mapping[str, Any], fields: Mapping[str, str]
    ) -> Exception:
        code = said.get("error") if isinstance(said.get("error"), str) else ""
        words = f"{self._place} gave no token: {status}"
        if code:
            described = said.get("error_description")
            words += f" {show(code, 60)}"
            words += f", {show(described)}" if isinstance(described, str) else ""
        if status == 429:
            return Throttled(words, retry_after_s=read_wait(fields))
        error: TransportError
        if code in _FINAL:
            error = AuthRefused(words)
        else:
            error = TransientError(words, stage=ConnectionStage.LOG_IN)
        if status in (400, 401, 403) and code not in ("invalid_grant", "invalid_scope"):
            return _ClientRefused(error)
        return error


class _ClientRefused(Exception):
    """The authority may want the client's secret in another place."""

    def __init__(self, error: TransportError) -> None:
        super().__init__(str(error))
        self.error = error


def _read(body: bytes) -> Mapping[str, Any]:
    try:
        said = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def make_log_in(options: RestOptions, secret: RestSecret, context: Context) -> LogIn:
    """Raises AuthConfig for a secret that cannot be used."""
    if options.auth.startswith("oauth2_"):
        return OAuthLogIn(options, secret, context)
    return LogIn(options, secret)
