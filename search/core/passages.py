"""What a model is given of a chunk, and the digest by which the same text is known again."""

from __future__ import annotations

from hashlib import blake2b


def write_passage(heading: str, body: str) -> str:
    """Returns the text that is sent to a model, without the prefix that some models want."""
    return f"{heading}\n{body}" if heading else body


def digest_passage(heading: str, body: str) -> bytes:
    """Returns the 16 bytes of `TextChunk.digest`. Raises UnicodeEncodeError for text that no database holds."""
    passage = write_passage(heading, body).encode()
    return blake2b(passage, digest_size=16).digest()
