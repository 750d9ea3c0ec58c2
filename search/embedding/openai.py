"""Any service that speaks OpenAI's `/v1/embeddings`, whatever habits it has.

It is asked through `farends.conversation`: the address is judged by ALLOWED_NETWORKS, no redirect is followed, and an
answer is bounded in bytes and time. What it refuses is bisected down to the text, so that one text costs no other its
vector. A batch that it finds too large teaches how many texts it takes at once. Vectors are asked for as base64, as OpenAI's
own clients do: a list of numbers takes five times the time to read, and is read too. Where a service refuses that request,
it is asked without.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from connectors.opening import make_context
from farends.contract import Context, Patience
from farends.conversation import Answer as HttpAnswer
from farends.conversation import Conversation, ConversationLimits
from farends.errors import (
    AuthConfig,
    NetworkForbidden,
    ProtocolViolation,
    Stalled,
    Throttled,
    TlsRefused,
    TooLarge,
    TransportError,
)
from farends.masking import hidden, make_mask
from farends.web.answers import asks_for_less, status_error
from farends.web.auth import Credentials
from farends.web.url import read_base_url
from farends.wire.far_text import show
from farends.wire.tls import trusting_system
from search.choices import DIMENSIONS_MAX, OPENAI, EmbeddingChoice
from search.embedding.contract import (
    TEXT_MAX,
    EmbedCode,
    EmbedFailed,
    EmbedRefusal,
    RefusedText,
    RequestTally,
    Vector,
    make_unit,
)
from search.embedding.openai_answers import iter_vectors

TOTAL_S = 30.0  # for the answer to one batch; a batch that takes longer is a smaller one next time
CONNECT_S = 5.0
NUMBER_BYTES = 32  # of an answer, for one number of a vector
_LEAST_BYTES = 4 * 1024 * 1024
CHARACTERS_MAX = 96_000  # of one batch, below what services allow in tokens
_PROGRESS_BYTES = 64
_SHOWN = 200
_CANARY = "ok"  # a text that nobody has a reason to refuse
_REJECTIONS = frozenset({400, 413, 422})
_TOO_LONG = re.compile(
    r"too (?:long|large|many tokens)|context|token|max\w*[ _]length|exceed", re.I
)
_AT_MOST = re.compile(r"(?:at most|maximum|max\w*|limit\w*|up to|<=)\D{0,40}?(\d{1,5})(?!\d)", re.I)

Answers = dict[int, Vector | RefusedText]


class _Rejected(Exception):
    """The service finds something wrong with the texts, or with their number."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class OpenAIEmbedder:
    """One kept connection. `check` raises when the work is over; `total_s` bounds each request."""

    service = OPENAI

    def __init__(
        self,
        chosen: EmbeddingChoice,
        *,
        check: Callable[[], None] = lambda: None,
        total_s: float = TOTAL_S,
        most: int | None = None,
        dimensions: int | None = None,
    ) -> None:
        """`dimensions`: of the vectors that are there already, where nobody has set them.

        Dials at the first request. Raises EmbedFailed for a URL or key that cannot be used."""
        self.model = chosen.model
        self.dimensions = chosen.dimensions or dimensions
        self.most = min(chosen.batch, most or chosen.batch)
        self.requests = RequestTally({})
        self._chosen = chosen
        self._mask = make_mask([chosen.key])
        self._has_accepted = False
        self._asks_for_base64 = True
        self._asks_for_dimensions = False
        with mapping_errors():
            base = read_base_url(chosen.url)
            self._target = f"{base.target.rstrip('/')}/embeddings"
            scheme = "bearer" if chosen.key else "none"
            credentials = Credentials(
                scheme, username="", password="", token=chosen.key, header_name=""
            )
            tls = trusting_system()
            self._conversation = Conversation(
                base.origin,
                credentials,
                tls,
                tls,
                _context_of(check, total_s),
                _limits_of(chosen, total_s),
            )

    @property
    def learned(self) -> int | None:
        return self.most if self.most < self._chosen.batch else None

    def embed(self, texts: Sequence[str]) -> list[Vector | RefusedText]:
        prefix = self._chosen.passage_prefix
        sent = [prefix + text[:TEXT_MAX] for text in texts]
        answers: Answers = {}
        for part in self._parts_of(sent, range(len(sent))):
            answers |= self._embed_part(sent, part)
        return [answers[number] for number in range(len(sent))]

    def embed_query(self, text: str) -> Vector:
        sent = [self._chosen.query_prefix + text[:TEXT_MAX]]
        (answer,) = self._embed_part(sent, [0]).values()
        if isinstance(answer, RefusedText):
            raise EmbedFailed(
                EmbedCode.PROTOCOL, f"the service refuses this question: {answer.note}"
            )
        return answer

    def close(self) -> None:
        self._conversation.close()

    def _parts_of(self, sent: Sequence[str], numbers: Sequence[int]) -> Iterator[list[int]]:
        """Batches that are bounded by count and by characters."""
        part: list[int] = []
        size = 0
        for number in numbers:
            if part and (len(part) >= self.most or size + len(sent[number]) > CHARACTERS_MAX):
                yield part
                part, size = [], 0
            part.append(number)
            size += len(sent[number])
        if part:
            yield part

    def _embed_part(self, sent: Sequence[str], part: Sequence[int]) -> Answers:
        """The answer to each text of the part."""
        if len(part) > self.most:
            return self._embed_in_steps(sent, part, self.most)
        try:
            answers = self._ask([sent[number] for number in part])
        except _Rejected as exc:
            if self._drops_base64(exc):
                return self._embed_part(sent, part)
            if len(part) == 1:
                return {part[0]: self._settle_rejected(sent[part[0]], exc)}
            step = _read_step(exc, len(part)) or (len(part) + 1) // 2
            found = self._embed_in_steps(sent, part, step)
            if not any(isinstance(answer, RefusedText) for answer in found.values()):
                self.most = min(self.most, step)  # no text was to blame: it was their number
            return found
        except _NoVectors as exc:
            if len(part) == 1:
                return {part[0]: self._settle_unanswered(exc)}
            self._ask_canary()
            return self._embed_in_steps(sent, part, 1)
        self._has_accepted = True
        found = {part[place]: answer for place, answer in answers.items()}
        if missing := [number for number in part if number not in found]:
            found |= self._embed_missing(sent, missing)
        return found

    def _embed_in_steps(self, sent: Sequence[str], part: Sequence[int], step: int) -> Answers:
        answers: Answers = {}
        for start in range(0, len(part), step):
            answers |= self._embed_part(sent, part[start : start + step])
        return answers

    def _embed_missing(self, sent: Sequence[str], missing: Sequence[int]) -> Answers:
        """Asks once more, one by one, for what an answer left out."""
        answers: Answers = {}
        for number in missing:
            try:
                again = self._ask([sent[number]])
            except _Rejected as exc:
                answers[number] = self._settle_rejected(sent[number], exc)
                continue
            except _NoVectors as exc:
                answers[number] = self._settle_unanswered(exc)
                continue
            answers[number] = again[0]
        return answers

    def _settle_rejected(self, text: str, rejected: _Rejected) -> Vector | RefusedText:
        """What becomes of a text that is refused alone: one that is too long is cut, once."""
        if rejected.status != 413 and not _TOO_LONG.search(rejected.words):
            return RefusedText(EmbedRefusal.REFUSED, rejected.words)
        try:
            return self._ask([text[: max(1, len(text) // 2)]])[0]
        except _Rejected as exc:
            return RefusedText(EmbedRefusal.TOO_LONG, exc.words)

    def _settle_unanswered(self, empty: _NoVectors) -> RefusedText:
        """What becomes of a text for which alone the answer is empty. Raises EmbedFailed where every answer is."""
        self._ask_canary()
        return RefusedText(EmbedRefusal.PROTOCOL, empty.detail)

    def _ask_canary(self) -> None:
        """Raises EmbedFailed where it gets no vector either: then no text is to blame."""
        try:
            self._ask([_CANARY])
        except _Rejected as exc:
            raise EmbedFailed(EmbedCode.PROTOCOL, exc.words) from None
        self._has_accepted = True

    def _drops_base64(self, rejected: _Rejected) -> bool:
        """Whether the service takes texts only now that it may answer with lists. A service that refuses every text, for
        example because it does not know the model, refuses no text: that raises EmbedFailed."""
        if self._has_accepted:
            return False
        try:
            self._ask([_CANARY])
            drops = False
        except _Rejected:
            self._asks_for_base64, drops = False, True
            try:
                self._ask([_CANARY])
            except _Rejected as exc:
                words = f"the service refuses every text: {exc.words}"
                raise EmbedFailed(EmbedCode.PROTOCOL, words, is_permanent=True) from rejected
        self._has_accepted = True
        return drops

    def _ask(self, texts: Sequence[str]) -> Answers:
        """What one request answers, by the places of the texts. Raises _Rejected, EmbedFailed."""
        try:
            answers = self._ask_once(texts)
            if answers is None:  # another dimension: some models give several, by request
                self._asks_for_dimensions = True
                answers = self._ask_once(texts)
        except EmbedFailed as exc:
            self.requests.add(exc.code)
            raise
        except _Rejected:
            self.requests.add("refused")
            raise
        if answers is None:
            self.requests.add(EmbedCode.DIMENSION)
            raise _other_dimension(self.dimensions)
        self.requests.add("ok")
        return answers

    def _ask_once(self, texts: Sequence[str]) -> Answers | None:
        said: dict[str, Any] = {"model": self.model, "input": list(texts)}
        if self._asks_for_base64:
            said["encoding_format"] = "base64"
        if self._asks_for_dimensions:
            said["dimensions"] = self.dimensions
        fields = {"Content-Type": "application/json", "Accept": "application/json"}
        with mapping_errors(), hidden(self._mask):
            answer = self._conversation.ask(
                "POST", self._target, fields=fields, body=json.dumps(said).encode()
            )
            with answer:
                body = answer.read()
        if answer.status != 200:
            raise self._error_of(answer, body)
        return self._read_vectors(body, len(texts))

    def _error_of(self, answer: HttpAnswer, body: bytes) -> EmbedFailed | _Rejected:
        status = answer.status
        words = f"the service answered {status}{self._read_words(body)}"
        if status in _REJECTIONS:
            if self._asks_for_dimensions:
                return _other_dimension(self.dimensions)
            return _Rejected(status, words)
        error = status_error(answer.head, "embedding")
        if asks_for_less(error, answer.head):
            wait_s = error.retry_after_s if isinstance(error, Throttled) else None
            return EmbedFailed(EmbedCode.LIMITED, words, retry_after_s=wait_s)
        if status in (401, 403):
            return EmbedFailed(EmbedCode.REFUSED_KEY, words, is_permanent=True)
        if status >= 500 or status in (408, 425):
            return EmbedFailed(EmbedCode.UNREACHABLE, words)
        return EmbedFailed(EmbedCode.PROTOCOL, words, is_permanent=True)

    def _read_words(self, body: bytes) -> str:
        """What an error says of itself, masked and short."""
        text = body[: 64 * 1024].decode("utf-8", "replace")
        try:
            said = json.loads(text)
            error = said.get("error", said) if isinstance(said, dict) else said
            found = error.get("message", error) if isinstance(error, dict) else error
            text = found if isinstance(found, str) else json.dumps(found)
        except (ValueError, RecursionError):
            pass
        text = self._mask(text) if self._mask is not None else text
        return f": {show(text, _SHOWN)}" if text.strip() else ""

    def _read_vectors(self, body: bytes, count: int) -> Answers | None:
        """The vectors by place; None where they have not the dimensions that were set, and may be asked for."""
        found: Answers = {}
        for place, values in iter_vectors(body, count):
            unit = make_unit(values)
            if unit is None:  # its size says nothing
                found[place] = _POINTLESS
                continue
            if self.dimensions is None:
                self.dimensions = _need_keepable(len(unit))
            if len(unit) != self.dimensions:
                if self._chosen.dimensions is None or self._asks_for_dimensions:
                    raise _other_dimension(self.dimensions, len(unit))
                return None
            found[place] = unit
        if all(answer is _POINTLESS for answer in found.values()):
            raise _NoVectors
        return found


class _NoVectors(EmbedFailed):
    def __init__(self) -> None:
        super().__init__(
            EmbedCode.PROTOCOL,
            "the service's answer holds no vectors, or none that has a direction",
        )


_POINTLESS = RefusedText(
    EmbedRefusal.PROTOCOL, "the vector is zero, or holds what is no number: it has no direction"
)


@contextmanager
def mapping_errors() -> Iterator[None]:
    """Errors of the way there leave as EmbedFailed."""
    try:
        yield
    except (ValueError, TransportError) as exc:
        raise _failure_of(exc) from exc


def _failure_of(exc: ValueError | TransportError) -> EmbedFailed:
    words = str(exc)
    if isinstance(exc, Stalled):
        return EmbedFailed(EmbedCode.TIMEOUT, words)
    if isinstance(exc, ProtocolViolation | TooLarge):
        return EmbedFailed(EmbedCode.PROTOCOL, words)
    if isinstance(exc, AuthConfig):
        return EmbedFailed(EmbedCode.REFUSED_KEY, words, is_permanent=True)
    is_permanent = isinstance(exc, NetworkForbidden | TlsRefused | ValueError)
    return EmbedFailed(EmbedCode.UNREACHABLE, words, is_permanent=is_permanent)


def _context_of(check: Callable[[], None], total_s: float) -> Context:
    connect_s = min(CONNECT_S, total_s)
    patience = Patience(connect_s=connect_s, log_in_s=connect_s, idle_s=total_s)
    return replace(make_context(check), patience=patience)


def _limits_of(chosen: EmbeddingChoice, total_s: float) -> ConversationLimits:
    numbers = chosen.batch * (chosen.dimensions or DIMENSIONS_MAX)
    return ConversationLimits(
        total_s=total_s,
        progress_bytes=_PROGRESS_BYTES,
        body_bytes_max=max(_LEAST_BYTES, numbers * NUMBER_BYTES),
        needs_frame=False,
        redirects_max=0,
    )


def _other_dimension(wanted: int | None, got: int | None = None) -> EmbedFailed:
    words = f"the service gives vectors of {got or 'other'} dimensions, and not of {wanted}"
    return EmbedFailed(EmbedCode.DIMENSION, words, is_permanent=True)


def _need_keepable(dimensions: int) -> int:
    if dimensions <= DIMENSIONS_MAX:
        return dimensions
    words = (
        f"the service gives vectors of {dimensions:,} dimensions, and no more than {DIMENSIONS_MAX:,} can be kept:"
        " set `dimensions`, if the model gives several, or take another model"
    )
    raise EmbedFailed(EmbedCode.DIMENSION, words, is_permanent=True)


def _read_step(rejected: _Rejected, count: int) -> int | None:
    """The number of texts that the refusal says is allowed, if it does."""
    for found in _AT_MOST.finditer(rejected.words):
        if 0 < (step := int(found[1])) < count:
            return step
    return None
