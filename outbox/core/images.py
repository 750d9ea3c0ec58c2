"""What a batch is on the wire: a head, the readings' lines joined by commas, and `]}`.

The head is kept with the batch and the lines with their segments, and neither ever changes. So the bytes are
not kept twice, and their SHA-256 shows before each try that they are what was fixed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

_TAIL = b"]}"


@dataclass(frozen=True, slots=True)
class Image:
    head: bytes
    body: bytes
    sha256: bytes

    @property
    def content_digest(self) -> str:
        """The value of the field `Content-Digest` (RFC 9530 §2)."""
        return f"sha-256=:{base64.b64encode(self.sha256).decode('ascii')}:"


def make_head(
    batch_id: uuid.UUID, stream: str, sequence_from: int, sequence_to: int, count: int
) -> bytes:
    told = {
        "batch_id": str(batch_id),
        "stream": stream,
        "sequence_from": sequence_from,
        "sequence_to": sequence_to,
        "count": count,
    }
    return json.dumps(told, separators=(",", ":")).encode()[:-1] + b',"readings":['


def make_image(head: bytes, lines: Sequence[bytes]) -> Image:
    body = b"".join((head, b",".join(lines), _TAIL))
    return Image(head, body, hashlib.sha256(body).digest())


def key_hash(key: str) -> int:
    """The first 8 bytes of the key's SHA-256. An hour's sum of these, modulo 2^64, is what the client system
    compares: the order of the readings does not matter, a missing or a further one shows."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


def sum_of_keys(keys: Sequence[str]) -> int:
    """Of `key_hash`, modulo 2^64."""
    digests = b"".join([hashlib.sha256(key.encode()).digest() for key in keys])
    return sum(map(int, struct.unpack(">" + "Q24x" * len(keys), digests))) % KEYS_SUM_MODULUS


KEYS_SUM_MODULUS = 1 << 64
