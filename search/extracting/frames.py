"""What this process and the child that reads documents say to each other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

import msgspec

from search.core.texts import Piece

FRAME_BYTES_MAX = 1 << 20
_NOTE_MAX = 300
_HEADER = struct.Struct(">cI")
HEADER_BYTES = _HEADER.size

READY = b"S"  # the child has limited itself
ASKED = b"A"
PIECES = b"P"
DONE = b"D"


class Request(msgspec.Struct):
    """One document, which lies in the spool."""

    kind: str
    size_bytes: int


class ReadOutcome(msgspec.Struct):
    """How a document ended. `is_spent`: another document needs a fresh child."""

    kind: str = ""
    code: str = ""
    note: str = ""
    is_spent: bool = False


_Told = tuple[str, str, int | None, int]
_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(Request)
_outcomes = msgspec.msgpack.Decoder(ReadOutcome)
_pieces = msgspec.msgpack.Decoder(list[_Told])


def send_frame(stream: BinaryIO, tag: bytes, payload: bytes = b"") -> None:
    stream.write(_HEADER.pack(tag, len(payload)) + payload)
    stream.flush()


def read_header(raw: bytes) -> tuple[bytes, int]:
    tag, length = _HEADER.unpack(raw)
    return tag, length


def pack(told: Request | ReadOutcome) -> bytes:
    return _encoder.encode(told)


def decode_request(raw: bytes) -> Request:
    return _requests.decode(raw)


def decode_outcome(raw: bytes) -> ReadOutcome:
    """Raises msgspec.DecodeError: so does `decode_pieces`."""
    return _outcomes.decode(raw)


def clean_note(note: str) -> str:
    """One line that a database takes, whatever a document made a parser say."""
    words = "".join(sign if sign.isprintable() else " " for sign in note[:_NOTE_MAX])
    return " ".join(words.split())


def encode_pieces(pieces: Sequence[Piece]) -> bytes:
    told = [(one.text, one.place, one.line, one.level) for one in pieces]
    try:
        return _encoder.encode(told)
    except UnicodeEncodeError:  # half characters, by a charset that can name them
        halves = [(_mend(text), _mend(place), line, level) for text, place, line, level in told]
        return _encoder.encode(halves)


def _mend(text: str) -> str:
    return text.encode(errors="replace").decode()


def check_pieces(raw: bytes) -> None:
    """Raises msgspec.DecodeError."""
    _pieces.decode(raw)


def decode_pieces(raw: bytes) -> list[Piece]:
    return [Piece(*told) for told in _pieces.decode(raw)]
