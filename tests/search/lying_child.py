"""A child that a document has taken over: it answers what it likes."""

from __future__ import annotations

import sys

from search.extracting import frames

LIES = {
    "a frame without end": lambda: frames._HEADER.pack(frames.PIECES, 1 << 31),
    "no pieces": lambda: frames._HEADER.pack(frames.PIECES, 3) + b"abc",
    "no tag": lambda: frames._HEADER.pack(b"?", 0),
    "a kind that is none": lambda: _done(frames.ReadOutcome(kind="../../etc")),
    "a code that is none": lambda: _done(frames.ReadOutcome(code="fine")),
    "no outcome": lambda: frames._HEADER.pack(frames.DONE, 1) + b"\xc1",
}


def _done(outcome: frames.ReadOutcome) -> bytes:
    packed = frames.pack(outcome)
    return frames._HEADER.pack(frames.DONE, len(packed)) + packed


if __name__ == "__main__":
    frames.send_frame(sys.stdout.buffer, frames.READY)
    sys.stdin.buffer.read(frames.HEADER_BYTES)
    sys.stdout.buffer.write(LIES[sys.argv[2]]())
    sys.stdout.buffer.flush()
    sys.stdin.buffer.read()
