"""What the sender and the child that sends say to each other."""

from __future__ import annotations

import struct

import msgspec

FRAME_BYTES_MAX = 4 << 20
_LENGTH = struct.Struct(">I")

READY = b"ready"  # the child's first frame


class Letter(msgspec.Struct):
    """One message: the channel's URL, the body as `json` channels get it, and where nobody may connect to."""

    number: int
    url: str
    body: bytes
    within_s: float
    networks: list[str]
    own_listeners: list[tuple[str, int]]


class SendReceipt(msgspec.Struct):
    """What became of it."""

    number: int
    delivered: bool
    code: str = ""
    detail: str = ""
    retry_after_s: float | None = None
    took_s: float = 0.0


_encoder = msgspec.msgpack.Encoder()
_letters = msgspec.msgpack.Decoder(Letter)
_receipts = msgspec.msgpack.Decoder(SendReceipt)


def pack_told(told: Letter | SendReceipt) -> bytes:
    return wrap(_encoder.encode(told))


def wrap(payload: bytes) -> bytes:
    return _LENGTH.pack(len(payload)) + payload


def read_letter(payload: bytes) -> Letter:
    return _letters.decode(payload)


def read_receipt(payload: bytes) -> SendReceipt:
    """Raises msgspec.DecodeError."""
    return _receipts.decode(payload)


class FrameBuffer:
    """Bytes as they come, frames as they are whole."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Raises ValueError for a frame that is too long."""
        self._bytes += data
        whole = []
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            if length > FRAME_BYTES_MAX:
                raise ValueError("a frame is too long")
            end = _LENGTH.size + length
            if len(self._bytes) < end:
                break
            whole.append(bytes(self._bytes[_LENGTH.size : end]))
            del self._bytes[:end]
        return whole
