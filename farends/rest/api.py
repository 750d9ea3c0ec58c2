"""Asks an API for pages: at its rate, with its log-in, and again where waiting helps."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from farends.contract import Context
from farends.conversation import Answer, Conversation, ConversationLimits
from farends.errors import (
    AuthRefused,
    ConnectionLost,
    ProtocolViolation,
    RootMissing,
    Stalled,
    Throttled,
    TransientError,
    TransportError,
    Truncated,
    Vanished,
)
from farends.masking import hidden
from farends.pacing import Pace
from farends.reaching import way_to
from farends.rest.log_in import LogIn, make_log_in
from farends.rest.options import RestOptions
from farends.rest.resource import write_query
from farends.spec import Target
from farends.web.answers import REDIRECTS, REDIRECTS_MAX, follow_location, status_error
from farends.web.url import Origin, Url
from farends.wire.far_text import show
from farends.wire.tls import trusting, trusting_system

ANSWER_BYTES_MAX = 64 << 20
TRIES = 4  # of one request, where the host or the connection failed
WAITS_MAX_S = 60.0  # of one request within an attempt: what takes longer is the queue's to wait for
_FIRST_WAIT_S = 0.5
_SLICE_S = 0.25
_ERROR_BYTES = 64 * 1024
_TOLD = {"Accept": "application/json"}
_NO_CONTENT = b"[]"  # status 204, as some APIs answer where nothing is new


@dataclass(frozen=True, slots=True)
class ApiReply:
    """A page as it came. `url` is where it came from, without the key."""

    url: Url
    body: bytes
    link: str
    date: str
    server: str
    framed: bool  # else only the body itself tells whether it is whole
    is_empty: bool = False  # by its status: there is nothing


class _Over(Exception):
    """Nobody wants the answer any more."""


class _NeedsToken(Exception):
    """The API takes the token no more."""

    def __init__(self, term: int, error: TransportError) -> None:
        super().__init__(str(error))
        self.term = term
        self.error = error


class Api:
    """Several requests may be on their way, each on a connection of its own. Tokens are got by the thread that waits
    for the answers, so that one is got for all. Close it."""

    def __init__(self, target: Target, context: Context) -> None:
        """Dials at the first request. Raises AuthConfig, TlsRefused for options that cannot be used."""
        options: RestOptions = target.options
        way = way_to(target, context)
        self._outer = way
        self._over = threading.Event()
        self._context = replace(way, check=self._check)
        self.at_once = options.requests_at_once
        self.base = options.base
        self.origin = Origin(options.scheme, target.host.lower(), target.port)
        self._log_in: LogIn = make_log_in(options, target.secret, self._context)
        authority = options.ca_certificate
        self._tls = trusting(authority) if authority else trusting_system()
        self._limits = ConversationLimits(
            total_s=options.answer_timeout_s, progress_bytes=256, body_bytes_max=ANSWER_BYTES_MAX, needs_frame=False
        )  # fmt: skip
        rate = options.requests_per_s
        self._pace = Pace(rate, self._rest) if rate else None
        self._held_until = 0.0
        self._waiting = 0
        self._lock = threading.Lock()
        self._idle: list[Conversation] = []
        self._busy: set[Conversation] = set()
        self._pool: ThreadPoolExecutor | None = None

    def ask(self, target: str) -> Future[ApiReply]:
        """Asks for a percent-encoded path with its query; `take` gives the answer."""
        if self._log_in.renews and not self._log_in.term:
            self._renew(0)
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.at_once, thread_name_prefix="rest")
        return self._pool.submit(self._get, target)

    def take(self, asked: Future[ApiReply], target: str) -> ApiReply:
        """Waits for an answer. Raises TransportError's children, and what `check` raises."""
        renewed = False
        while True:
            try:
                with hidden(self._log_in.mask):
                    return self._wait_for(asked)
            except _NeedsToken as exc:
                if renewed and exc.term == self._log_in.term:
                    raise exc.error from None
                self._renew(exc.term)
                renewed = True
                asked = self.ask(target)

    def get(self, target: str) -> ApiReply:
        return self.take(self.ask(target), target)

    def log_in(self) -> None:
        """Gets a token, where the log-in needs one. Raises AuthRefused, TransportError."""
        if self._log_in.renews and not self._log_in.term:
            self._renew(0)

    def without_key(self, target: str) -> str:
        """A path with its query, without the parameter that carries the key: it is added to each request."""
        if not self._log_in.query or "?" not in target:
            return target
        path, _, query = target.partition("?")
        own = write_query([(name, "") for name, _ in self._log_in.query])
        kept = [part for part in query.split("&") if not part.startswith(own)]
        return f"{path}?{'&'.join(kept)}" if kept else path

    def close(self) -> None:
        self._over.set()
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)
        for conversation in (*self._idle, *self._busy):
            conversation.close()

    def _renew(self, term: int) -> None:
        with hidden(self._log_in.mask):
            self._log_in.renew(term)

    def _wait_for(self, asked: Future[ApiReply]) -> ApiReply:
        while True:
            try:
                return asked.result(_SLICE_S)
            except TimeoutError:
                if asked.done():
                    raise
                self._outer.check()

    def _check(self) -> None:
        if self._over.is_set():
            raise _Over
        self._outer.check()

    def _rest(self) -> None:
        """A wait is our own choice: nothing is stuck."""
        self._check()
        self._context.moved()

    def _get(self, target: str) -> ApiReply:
        """Called by the threads of the pool."""
        tries, waited_s = 0, 0.0
        while True:
            self._obey_hold()
            if self._pace is not None:
                self._pace.take(1)
            try:
                return self._get_once(target)
            except Throttled as exc:
                delay = exc.retry_after_s
                tries += delay is None
                delay = max(self._delay(tries) if delay is None else delay, _FIRST_WAIT_S)
                waited_s += delay
                if waited_s > WAITS_MAX_S or tries >= TRIES:
                    raise
                self._hold(delay, exc)
            except (ConnectionLost, Truncated, Stalled, TransientError) as exc:
                tries += 1
                if tries >= TRIES or isinstance(exc, Stalled):
                    raise
                self._pause(self._delay(tries), f"{self._place}, which failed: {exc}")

    def _delay(self, tries: int) -> float:
        return float(_FIRST_WAIT_S * 2 ** (tries - 1))

    @property
    def _place(self) -> str:
        return self.origin.authority

    def _hold(self, seconds: float, exc: Throttled) -> None:
        """No request leaves until the host's time is over."""
        with self._lock:
            self._held_until = max(self._held_until, time.monotonic() + seconds)
        self._obey_hold(f"{self._place}, which asked for {seconds:.0f} s: {exc}")

    def _obey_hold(self, words: str = "") -> None:
        if (left_s := self._held_until - time.monotonic()) > 0:
            self._pause(left_s, words or f"{self._place}, which asked for fewer requests")

    def _pause(self, seconds: float, words: str) -> None:
        until = time.monotonic() + seconds
        self._tell(1, words)
        try:
            while (left_s := until - time.monotonic()) > 0:
                self._over.wait(min(left_s, _SLICE_S))
                self._rest()
        finally:
            self._tell(-1, "")

    def _tell(self, change: int, words: str) -> None:
        """What the record waits for, until nobody waits."""
        with self._lock:
            self._waiting += change
            if words or not self._waiting:
                self._context.waits(words)

    def _get_once(self, target: str) -> ApiReply:
        conversation = self._borrow()
        try:
            reply = self._exchange(conversation, target)
        except BaseException:
            conversation.close()
            with self._lock:
                self._busy.discard(conversation)
            raise
        with self._lock:
            self._busy.discard(conversation)
            self._idle.append(conversation)
        return reply

    def _exchange(self, conversation: Conversation, target: str) -> ApiReply:
        term = self._log_in.term
        with self._follow(conversation, target) as answer:
            if answer.status in (200, 204):
                return self._read(answer)
            raise self._find_error(answer, target, term)

    def _borrow(self) -> Conversation:
        with self._lock:
            conversation = self._idle.pop() if self._idle else self._open()
            self._busy.add(conversation)
        return conversation

    def _open(self) -> Conversation:
        return Conversation(
            self.origin, self._log_in, self._tls, self._tls, self._context, self._limits
        )

    def _follow(self, conversation: Conversation, target: str) -> Answer:
        """A redirect to another host carries no log-in. Where the key is a part of the URL it is not followed at all:
        the host may have put the key into the other URL too."""
        if not self._log_in.query:
            return conversation.follow("GET", target, fields=_TOLD)
        for _ in range(REDIRECTS_MAX + 1):
            answer = conversation.ask("GET", self._with_key(target), fields=_TOLD)
            location = answer.head.fields.get("location")
            if answer.status not in REDIRECTS or location is None:
                return answer
            answer.pass_over()
            url = follow_location(answer.url, location)
            if url.origin != self.origin:
                raise ProtocolViolation("the API leads to another host, which must not see the key")
            target = self.without_key(url.target)
        raise ProtocolViolation(f"redirected more than {REDIRECTS_MAX} times")

    def _with_key(self, target: str) -> str:
        mark = "&" if "?" in target else "?"
        return f"{target}{mark}{write_query([*self._log_in.query])}"

    def _read(self, answer: Answer) -> ApiReply:
        body = answer.read() if answer.status == 200 else _NO_CONTENT
        fields = answer.head.fields
        url = replace(answer.url, target=self.without_key(answer.url.target))
        return ApiReply(
            url,
            body,
            fields.get("link", ""),
            fields.get("date", ""),
            show(fields.get("server", ""), 100),
            answer.head.framed,
            answer.status == 204,
        )

    def _find_error(self, answer: Answer, target: str, term: int) -> Exception:
        path = target.partition("?")[0]
        error = status_error(answer.head, f"GET {path}")
        if answer.url.origin != self.origin:
            error.args = (
                f"{error} (redirected to {answer.url.origin.authority}, without the log-in)",
            )
        elif said := _find_words(answer):
            error.args = (f"{error}: {said}",)
        if isinstance(error, AuthRefused) and self._log_in.renews:
            return _NeedsToken(term, error)
        return RootMissing(str(error)) if isinstance(error, Vanished) else error


def _find_words(answer: Answer) -> str:
    """What an API says of its own error, where it is JSON."""
    body = b""
    try:
        for piece in answer:
            body += piece
            if len(body) > _ERROR_BYTES:
                return ""
        said: Any = msgspec.json.decode(body)
    except (TransportError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    return find_message(said)


def find_message(said: object) -> str:
    """The words of an API's error: `{"error": {"message": …}}`, `{"message": …}` and their like."""
    for name in ("error", "errors", "message", "detail", "title", "error_description"):
        found = said.get(name) if isinstance(said, dict) else None
        if isinstance(found, list) and found:
            found = found[0]
        if isinstance(found, dict):
            return find_message(found) or show(str(found.get("code") or ""), 60)
        if isinstance(found, str) and found:
            return show(found)
    return ""
