"""A connector's own secrets are hidden in whatever its far end says (RELIABILITY X07).

A host may echo what it did not like: a password in a refusal, a token in a redirect. Every error of a
transport passes here before anybody keeps, cuts, logs or tells it; each connector's secrets are looked for
in its own host's words only, so that nobody learns of another's by what is hidden.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import fields, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeVar
from urllib.parse import quote, quote_plus

from connectors.contract import (
    Capabilities,
    Digested,
    Fetched,
    RemoteEntry,
    Remover,
    Seen,
    Sink,
    Skipped,
    Transport,
)
from connectors.errors import TransportError
from connectors.names import printable
from connectors.spec import Target

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HIDDEN = "***"
_CUT = "…"  # what `names.printable` puts where it cuts
_ALONE_MAX = (
    3  # a secret as short as this is hidden where it stands alone: else every word had holes
)
_KEY_LINE_MIN = 16
_PAIRS = (("username", "password"), ("proxy_username", "proxy_password"))

Mask = Callable[[str], str]
Told = TypeVar("Told", bound="DataclassInstance")


def make_mask(secrets: Iterable[str], lines: Iterable[str] = ()) -> Mask | None:
    """Replaces each secret by `***`, in any case, also where it is escaped, encoded for a URL, HTML, JSON or
    Base64, and where its end was cut off; `lines`, of keys, as they are. None where there is nothing to hide.
    """
    known = {secret for secret in secrets if secret}
    forms = {form for secret in known if len(secret) > _ALONE_MAX for form in _forms(secret)}
    lowered = {_lower(form) for form in (*forms, *lines)}
    longest_first = sorted(lowered, key=lambda form: (-len(form), form))
    if not (known or longest_first):
        return None
    short = "|".join(sorted(re.escape(secret) for secret in known if len(secret) <= _ALONE_MAX))
    alone = re.compile(rf"(?<!\w)(?:{short})(?!\w)", re.IGNORECASE) if short else None

    def mask(text: str) -> str:
        for form in longest_first:
            text = _without(text, form)
        if _CUT in text:
            text = _CUT.join(_without_beginning(part, longest_first) for part in text.split(_CUT))
        return text if alone is None else alone.sub(HIDDEN, text)

    return mask


def mask_of(target: Target) -> Mask | None:
    """For what is in the target's secret, and for a log-in in Base64 as HTTP sends it (RFC 7617)."""
    secret = {
        field.name: str(getattr(target.secret, field.name)) for field in fields(target.secret)
    }
    whole = [value for value in secret.values() if "\n" not in value.strip()]
    lines = [line for value in secret.values() for line in _lines(value)]
    for username, password in _PAIRS:
        name = secret.get(username) or str(getattr(target.options, username, ""))
        if secret.get(password):
            lines.append(_base64(f"{name}:{secret[password]}"))
    return make_mask(whole, lines)


def _lines(secret: str) -> list[str]:
    """Of a key, without its first and last."""
    lines = secret.splitlines()
    if len(lines) < 2:
        return []
    return [line for line in lines if len(line) >= _KEY_LINE_MIN and "-----" not in line]


def _forms(secret: str) -> set[str]:
    told = {
        secret,
        printable(secret, len(secret)),
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        html.escape(secret),
        _base64(secret),
        _base64(secret, b"-_"),
        _octal(secret, "\\#"),  # rsync's words
        _octal(secret, "\\"),  # tar's and find's
    }
    raw = secret.encode("utf-8", "surrogatepass")
    told |= {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    return {form for form in told if len(form) > _ALONE_MAX}


def _base64(text: str, others: bytes = b"+/") -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return base64.b64encode(raw, others).decode("ascii").rstrip("=")


def _octal(text: str, sign: str) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if 32 <= byte < 127 else f"{sign}{byte:03o}" for byte in raw)


def _lower(text: str) -> str:
    """Character by character, so that places stay where they are."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small := one.lower()) == 1 else one for one in text)


def _without(text: str, form: str) -> str:
    """`form` is in lower case."""
    lowered = _lower(text)
    if form not in lowered:
        return text
    kept, at = [], 0
    while (found := lowered.find(form, at)) >= 0:
        kept += [text[at:found], HIDDEN]
        at = found + len(form)
    return "".join([*kept, text[at:]])


def _without_beginning(text: str, forms: list[str]) -> str:
    """Where a text was cut, a secret may have lost its end."""
    lowered = _lower(text)
    for form in forms:
        for length in range(min(len(form), len(text)), _ALONE_MAX - 1, -1):
            if lowered.endswith(form[:length]):
                return text[:-length] + HIDDEN
    return text


def hide(error: TransportError, mask: Mask) -> None:
    told = str(error)
    masked = mask(told)
    if masked != told:
        error.args = (masked,)


@contextmanager
def hidden(mask: Mask | None) -> Iterator[None]:
    """Errors that leave here tell none of the secrets."""
    try:
        yield
    except TransportError as exc:
        if mask is not None:
            hide(exc, mask)
        raise


def masked(value: Told, mask: Mask | None) -> Told:
    """A dataclass instance with every text of it masked."""
    if mask is None:
        return value
    told = {field.name: getattr(value, field.name) for field in fields(value)}
    return replace(value, **{name: mask(text) for name, text in told.items() if type(text) is str})


class MaskedTransport:
    """Another transport whose words are masked."""

    def __init__(self, inner: Transport, mask: Mask) -> None:
        self._inner = inner
        self._mask = mask

    @property
    def capabilities(self) -> Capabilities:
        told = self._inner.capabilities  # asked for each file: only a secret costs a new one
        software = self._mask(told.server_software)
        return told if software == told.server_software else replace(told, server_software=software)

    def walk(self, root: PurePosixPath) -> Iterator[Seen]:
        with hidden(self._mask):
            for entry in self._inner.walk(root):
                if isinstance(entry, Skipped):
                    yield replace(entry, message=self._mask(entry.message))
                else:
                    yield entry

    def fetch(self, entries: Iterable[RemoteEntry], sink: Sink) -> Iterator[Fetched]:
        with hidden(self._mask):
            for fetched in self._inner.fetch(entries, sink):
                if fetched.error is not None:
                    hide(fetched.error, self._mask)
                yield fetched

    def digests(self, entries: Iterable[RemoteEntry]) -> Iterator[Digested]:
        with hidden(self._mask):
            yield from self._inner.digests(entries)

    @contextmanager
    def _opened(self, path: PurePosixPath, offset: int) -> Iterator[BinaryIO]:
        with hidden(self._mask), self._inner.open(path, offset=offset) as stream:
            yield stream

    def open(self, path: PurePosixPath, *, offset: int = 0) -> AbstractContextManager[BinaryIO]:
        return self._opened(path, offset)

    def close(self) -> None:
        with hidden(self._mask):
            self._inner.close()


class MaskedRemover:
    """Another remover whose words are masked."""

    def __init__(self, inner: Remover, mask: Mask) -> None:
        self._inner = inner
        self._mask = mask

    def find(self, path: str) -> RemoteEntry | None:
        with hidden(self._mask):
            return self._inner.find(path)

    def remove(self, path: str) -> None:
        with hidden(self._mask):
            self._inner.remove(path)

    def move(self, path: str, to: str) -> None:
        with hidden(self._mask):
            self._inner.move(path, to)

    def close(self) -> None:
        with hidden(self._mask):
            self._inner.close()
