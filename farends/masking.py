"""Hides a connector's own secrets in whatever its far end says (docs/promises.md, X07).

A host may echo what it did not like: a password in a refusal, a token in a redirect. Every error of a
transport passes here before anybody keeps, cuts, logs or tells it; each connector's secrets are looked for
in its own host's words only, so that nobody learns of another's by what is hidden.
"""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, quote_plus

from farends.contract import (
    Capabilities,
    Digested,
    Fetched,
    Reason,
    RemoteEntry,
    Remover,
    Seen,
    Sink,
    Skipped,
    Transport,
)
from farends.errors import NotAListing, TransportError
from farends.names import printable
from farends.rows.contract import (
    Begun,
    Chunk,
    Entity,
    Preview,
    Reading,
    RowCapabilities,
    RowSource,
)
from farends.spec import Target

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

HIDDEN = "***"
# Ours (`names.printable`), a host's, and where its words just end.
_CUTS = re.compile(r"…|\.\.\.|\Z")
_ALONE_MAX = (
    3  # a secret as short as this is hidden where it stands alone: else every word had holes
)
_KEY_LINE_MIN = 16
# So many characters of a secret are hidden wherever they stand: from its middle, and from one of its ends.
_PIECE, _END_PIECE = 8, 6
_CUT_MIN, _STOP_MIN = 3, 5  # at the sign of a cut, and where the words just end
_SEED = 3  # characters by which a piece is looked for

Mask = Callable[[str], str]
Span = tuple[int, int]
Told = TypeVar("Told", bound="DataclassInstance")


def make_mask(secrets: Iterable[str], lines: Iterable[str] = ()) -> Mask | None:
    """Replaces each secret by `***`, in any case, also where it is escaped, encoded for a URL, HTML or JSON, in
    hexadecimal, or as a part of what is in Base64, and where a piece of it is left; `lines`, of keys, as they
    are. None where there is nothing to hide. What it costs grows with the text alone, whatever the host says.
    """
    known = {secret for secret in secrets if secret}
    forms = {form for secret in known if len(secret) > _ALONE_MAX for form in _forms(secret)}
    lowered = {_lower(form) for form in (*forms, *lines)}
    if not (known or lowered):
        return None
    pieces = _Pieces(lowered)
    short = "|".join(sorted(re.escape(secret) for secret in known if len(secret) <= _ALONE_MAX))
    alone = re.compile(rf"(?<!\w)(?:{short})(?!\w)", re.IGNORECASE) if short else None

    def mask(text: str) -> str:
        text = _without(text, pieces.find_in(_lower(text)))
        return text if alone is None else alone.sub(HIDDEN, text)

    return mask


class _Pieces:
    """Of all forms of the secrets, in lower case, what of them may stand alone."""

    def __init__(self, forms: Iterable[str]) -> None:
        self._whole: set[str] = set()
        self._beginnings: set[str] = set()
        self._endings: set[str] = set()
        for form in forms:
            if len(form) < _PIECE:
                self._whole.add(form)
            self._whole |= {form[at : at + _PIECE] for at in range(len(form) - _PIECE + 1)}
            for length in range(_CUT_MIN, min(len(form), _PIECE)):
                self._beginnings.add(form[:length])
                self._endings.add(form[-length:])
        ends = self._beginnings | self._endings
        self._whole |= {piece for piece in ends if len(piece) >= _END_PIECE}
        self._lengths = sorted({len(piece) for piece in self._whole}, reverse=True)
        # Whatever place a piece has, one look in so many falls on a seed that lies within it.
        self._step = min(self._lengths, default=_SEED) - _SEED + 1
        self._seeds = {piece[at : at + _SEED] for piece in self._whole for at in range(self._step)}

    def find_in(self, text: str) -> list[Span]:
        """Finds the places of secrets, in order; they may overlap."""
        found: list[Span] = []
        for at in range(0, len(text) - _SEED + 1, self._step):
            if text[at : at + _SEED] in self._seeds:
                found += self._find_from(text, max(0, at - self._step + 1), at)
        return sorted([*found, *self._find_at_cuts(text)])

    def _find_from(self, text: str, first: int, last: int) -> Iterator[Span]:
        """Of each place from the first to the last, the longest piece that begins there."""
        for start in range(first, last + 1):
            for length in self._lengths:
                if text[start : start + length] in self._whole:
                    yield start, start + length
                    break

    def _find_at_cuts(self, text: str) -> Iterator[Span]:
        """What is left of a secret that has lost its end before a cut, or its beginning after it."""
        for cut in _CUTS.finditer(text):
            least = _CUT_MIN if cut[0] else _STOP_MIN
            for length in range(_END_PIECE - 1, least - 1, -1):
                start, end = cut.start() - length, cut.end() + length
                if start >= 0 and text[start : cut.start()] in self._beginnings:
                    yield start, cut.start()
                if cut[0] and text[cut.end() : end] in self._endings:
                    yield cut.end(), end


def make_target_mask(target: Target) -> Mask | None:
    """Makes the mask for the target's secret, and for a log-in in Base64 as HTTP sends it (RFC 7617)."""
    secret = {
        field.name: str(getattr(target.secret, field.name)) for field in fields(target.secret)
    }
    whole = [value for value in secret.values() if "\n" not in value.strip()]
    lines = [line for value in secret.values() for line in _lines(value)]
    lines += [_base64(f"{name}:{password}") for name, password in target.log_ins()]
    return make_mask(whole, lines)


def _lines(secret: str) -> list[str]:
    """Returns the lines of a key, without its first and last."""
    lines = secret.splitlines()
    if len(lines) < 2:
        return []
    return [line for line in lines if len(line) >= _KEY_LINE_MIN and "-----" not in line]


def _forms(secret: str) -> set[str]:
    told = {
        secret,
        printable(secret, len(secret)),
        printable(secret, len(secret)).replace("/", "\\x2f"),  # of a refused name
        repr(secret)[1:-1],
        json.dumps(secret)[1:-1],
        html.escape(secret),
        *_base64_within(secret),
        *_hexadecimal(secret),
        _octal(secret, "\\#"),  # rsync's words
        _octal(secret, "\\"),  # tar's and find's
    }
    raw = secret.encode("utf-8", "surrogatepass")
    told |= {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    return {form for form in told if len(form) > _ALONE_MAX}


def _base64(text: str, others: bytes = b"+/") -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return base64.b64encode(raw, others).decode("ascii").rstrip("=")


def _base64_within(secret: str) -> Iterator[str]:
    """As it is encoded alone, and within more: what comes before moves it by 0, 1 or 2 bytes. What mixes its bits
    with its neighbours' is left out."""
    raw = secret.encode("utf-8", "surrogatepass")
    for others in (b"+/", b"-_"):
        yield _base64(secret, others)
        for before in range(3):
            encoded = base64.b64encode(bytes(before) + raw, others).decode("ascii")
            yield encoded[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]


def _hexadecimal(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    yield from (raw.hex(), raw.hex(" "), raw.hex(":"), raw.hex("-"))
    for written in ("%{:02x}", "\\x{:02x}", "0x{:02x} ", "0x{:02x}, ", "&#x{:02x};", "&#{};"):
        yield "".join(written.format(byte) for byte in raw).rstrip(" ,")
    for character in ("\\u{:04x}", "&#x{:x};", "&#{};"):
        yield "".join(character.format(ord(one)) for one in secret)


def _octal(text: str, sign: str) -> str:
    raw = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if 32 <= byte < 127 else f"{sign}{byte:03o}" for byte in raw)


def _lower(text: str) -> str:
    """Character by character, so that places stay where they are."""
    lowered = text.lower()
    if len(lowered) == len(text):
        return lowered
    return "".join(small if len(small := one.lower()) == 1 else one for one in text)


def _without(text: str, spans: Iterable[Span]) -> str:
    """Spans that touch each other are hidden as one."""
    kept: list[str] = []
    at = 0
    for start, end in spans:
        if start > at or not kept:
            kept += [text[at:start], HIDDEN]
        at = max(at, end)
    return "".join([*kept, text[at:]])


def hide(error: TransportError, mask: Mask) -> None:
    told = str(error)
    masked = mask(told)
    if masked != told:
        error.args = (masked,)
    if isinstance(error, NotAListing):
        error.shown = mask(error.shown)


@contextmanager
def hidden(mask: Mask | None) -> Iterator[None]:
    """Errors that leave here tell none of the secrets."""
    try:
        yield
    except TransportError as exc:
        if mask is not None:
            hide(exc, mask)
        raise


def mask_fields(value: Told, mask: Mask | None) -> Told:
    """A dataclass instance with every text of it masked."""
    if mask is None:
        return value
    told = {field.name: getattr(value, field.name) for field in fields(value)}
    return replace(value, **{name: mask(text) for name, text in told.items() if type(text) is str})


def _hide_in(skipped: Skipped, mask: Mask) -> Skipped:
    """Also in what is shown of a row or name that was refused: nothing is held under such a path."""
    path = skipped.path
    if skipped.reason in (Reason.UNREADABLE_ROW, Reason.UNSAFE_NAME):
        folder, slash, row = path.rpartition("/")
        path = f"{folder}{slash}{mask(row)}"
    return replace(skipped, path=path, message=mask(skipped.message))


class MaskedTransport:
    """Another transport whose words are masked."""

    def __init__(self, inner: Transport, mask: Mask) -> None:
        self._inner = inner
        self._mask = mask
        self._software = self._masked_software = ""

    @property
    def capabilities(self) -> Capabilities:
        """The engine asks for each file: the words are masked once, not each time."""
        told = self._inner.capabilities
        if told.server_software != self._software:
            self._software = told.server_software
            self._masked_software = self._mask(told.server_software)
        if self._masked_software == told.server_software:
            return told
        return replace(told, server_software=self._masked_software)

    def walk(self) -> Iterator[Seen]:
        return self._hidden_in(self._inner.walk())

    def walk_again(self, folder: str) -> Iterator[Seen]:
        return self._hidden_in(self._inner.walk_again(folder))

    def _hidden_in(self, seen: Iterator[Seen]) -> Iterator[Seen]:
        with hidden(self._mask):
            for entry in seen:
                if isinstance(entry, Skipped):
                    yield _hide_in(entry, self._mask)
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


class MaskedRowSource:
    """Another source of rows whose words are masked. Rows are content, and pass as they are."""

    def __init__(self, inner: RowSource, mask: Mask) -> None:
        self._inner = inner
        self._mask = mask

    @property
    def capabilities(self) -> RowCapabilities:
        return mask_fields(self._inner.capabilities, self._mask)

    @property
    def drifted(self) -> bool:
        return self._inner.drifted

    def entities(self, prefix: str = "") -> Iterator[Entity]:
        with hidden(self._mask):
            yield from self._inner.entities(prefix)

    def describe(self, spec: Mapping[str, Any]) -> Entity:
        with hidden(self._mask):
            return self._inner.describe(spec)

    def preview(self, spec: Mapping[str, Any], limit: int) -> Preview:
        with hidden(self._mask):
            return self._inner.preview(spec, limit)

    def begin(self, reading: Reading) -> Begun:
        with hidden(self._mask):
            return self._inner.begin(reading)

    def read(self, after: Any | None = None) -> Iterator[Chunk]:
        return self._passed(self._inner.read(after))

    def read_keys(self) -> Iterator[Chunk]:
        return self._passed(self._inner.read_keys())

    def read_rows(self, keys: Iterable[Mapping[str, str | None]]) -> Iterator[Chunk]:
        return self._passed(self._inner.read_rows(keys))

    def _passed(self, chunks: Iterator[Chunk]) -> Iterator[Chunk]:
        with hidden(self._mask):
            for chunk in chunks:
                if chunk.bad:
                    masked = (replace(bad, message=self._mask(bad.message)) for bad in chunk.bad)
                    chunk = replace(chunk, bad=tuple(masked))
                yield chunk

    def count_doubles(
        self, keys: Iterable[Mapping[str, str | None]]
    ) -> list[Mapping[str, str | None]]:
        with hidden(self._mask):
            return self._inner.count_doubles(keys)

    def close(self) -> None:
        with hidden(self._mask):
            self._inner.close()
