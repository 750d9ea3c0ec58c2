"""Speaks to a client system: batches, log-in, health, configuration, heartbeat, digests."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from farends.client.options import ClientOptions
from farends.contract import Context
from farends.conversation import Conversation, ConversationLimits
from farends.errors import AuthRefused, ProtocolViolation, TransportError
from farends.reaching import way_to
from farends.spec import Target
from farends.web.auth import Credentials
from farends.web.url import Origin, quote_path
from farends.wire.tls import trusting, trusting_system

ANSWER_BYTES_MAX = 1 << 20
PROGRESS_BYTES = 256  # within the idle time-out: less is a drip


@dataclass(frozen=True, slots=True)
class ClientReply:
    """What the client system answered. Names of `fields` are in lower case."""

    status: int
    fields: Mapping[str, str]
    body: bytes

    @property
    def said(self) -> Any:
        """The body as JSON. Raises ProtocolViolation."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as exc:
            raise ProtocolViolation(f"the answer ({self.status}) is not JSON") from exc


class AnswerCut(Exception):
    """The head of an answer came, and its body did not, or not as it should; `error` says what happened."""

    def __init__(self, status: int, error: TransportError) -> None:
        super().__init__(str(error))
        self.status = status
        self.error = error


class ClientSystem:
    """One kept connection, for one thread. Redirects are never followed. Close it."""

    def __init__(self, target: Target, context: Context) -> None:
        """Dials at the first request. Raises AuthConfig, TlsRefused for options that cannot be used."""
        self._options: ClientOptions = target.options
        options = self._options
        self._key = target.secret.token
        self._way = way_to(target, context)
        scheme = "https" if options.tls else "http"
        self._origin = Origin(scheme, target.host.lower(), target.port)
        authority = options.ca_certificate
        self._tls = trusting(authority) if authority else trusting_system()
        self._limits = ConversationLimits(
            total_s=options.timeout_s, progress_bytes=PROGRESS_BYTES, body_bytes_max=ANSWER_BYTES_MAX, redirects_max=0
        )  # fmt: skip
        self._logs_in = options.auth == "login"
        self._token: str | None = None
        self._conversation: Conversation | None = None

    @property
    def logs_in(self) -> bool:
        return bool(self._logs_in)

    def send_batch(self, body: bytes, fields: Mapping[str, str]) -> ClientReply:
        """Raises TransportError where no answer came, and AnswerCut where it came in part."""
        told = {"Content-Type": "application/json", "Accept": "application/json", **fields}
        return self._ask("POST", self._options.path_batch, told, body)

    def log_in(self) -> None:
        """Gets a new token. Raises AuthRefused, TransportError, AnswerCut."""
        self._token = None
        self._close()
        with self._open(self._key, "header", self._options.header_name) as conversation:
            reply = self._exchange(conversation, "POST", self._options.path_auth, _JSON, b"{}")
        if reply.status != 200:
            raise AuthRefused(f"the client system answered the log-in with {reply.status}")
        said = reply.said
        token = said.get("token") if isinstance(said, dict) else None
        if not isinstance(token, str) or not token:
            raise AuthRefused("the client system's answer to the log-in holds no token")
        self._token = token

    def check_key(self) -> ClientReply:
        """Shows the key to the path of the log-in."""
        if self._logs_in:
            self.log_in()
            return ClientReply(200, {}, b"{}")
        return self._ask("POST", self._options.path_auth, _JSON, b"{}")

    def health(self) -> ClientReply:
        return self._ask("GET", self._options.path_health, _JSON)

    def configuration(self, etag: str = "") -> ClientReply:
        fields = _JSON | ({"If-None-Match": etag} if etag else {})
        return self._ask("GET", self._options.path_config, fields)

    def send_heartbeat(self, told: Mapping[str, Any]) -> ClientReply:
        return self._ask("POST", self._options.path_heartbeat, _JSON, json.dumps(told).encode())

    def digest(self, query: str) -> ClientReply:
        return self._ask("GET", self._options.path_digest, _JSON, query=query)

    def look_at_batches(self) -> ClientReply:
        """Whether the path of batches is there, without effect: OPTIONS is safe (RFC 9110 §9.3.7)."""
        return self._ask("OPTIONS", self._options.path_batch, {"Accept": "application/json"})

    def close(self) -> None:
        self._close()

    def _ask(
        self,
        method: str,
        path: str,
        fields: Mapping[str, str],
        body: bytes | None = None,
        *,
        query: str = "",
    ) -> ClientReply:
        if self._logs_in and self._token is None:
            self.log_in()
        if self._conversation is None:
            token = self._token if self._logs_in else self._key
            scheme = "header" if self._options.auth == "header" else "bearer"
            self._conversation = self._open(token or "", scheme, self._options.header_name)
        return self._exchange(self._conversation, method, path, fields, body, query=query)

    def _exchange(
        self,
        conversation: Conversation,
        method: str,
        path: str,
        fields: Mapping[str, str],
        body: bytes | None = None,
        *,
        query: str = "",
    ) -> ClientReply:
        target = quote_path(self._options.base + path) + (f"?{query}" if query else "")
        answer = conversation.ask(method, target, fields=fields, body=body)
        try:
            with answer:
                content = answer.read()
        except TransportError as exc:
            raise AnswerCut(answer.status, exc) from exc
        return ClientReply(answer.status, answer.head.fields, content)

    def _open(self, token: str, scheme: str, header_name: str) -> Conversation:
        if not token:
            scheme = "none"
        credentials = Credentials(
            scheme, username="", password="", token=token, header_name=header_name
        )
        return Conversation(
            self._origin, credentials, self._tls, self._tls, self._way, self._limits
        )

    def _close(self) -> None:
        conversation, self._conversation = self._conversation, None
        if conversation is not None:
            conversation.close()


_JSON = {"Content-Type": "application/json", "Accept": "application/json"}
