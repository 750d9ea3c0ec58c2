"""Loads Apprise once, and forks a process for each message: that one holds one channel's secrets, and is killed when
its time is over. So a host that answers byte by byte delays nobody, and reads nothing of others.

usage: python -m alerts.courier.child, with letters on standard input and receipts on standard output
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from alerts.core.answers import (
    CHANNEL_INVALID,
    CONNECTION_LOST,
    COURIER_LOST,
    TIMED_OUT,
    SendAnswer,
)
from alerts.core.channel_urls import ChannelUrlRefused, read_channel_url
from alerts.courier.by_apprise import load_plugins, send_by_apprise
from alerts.courier.by_json import send_by_json
from alerts.courier.frames import (
    READY,
    FrameBuffer,
    Letter,
    SendReceipt,
    pack_told,
    read_letter,
    read_receipt,
    wrap,
)
from alerts.courier.guard import Witnessed, guard_process
from children.limits import ProcessLimits, allow_cpu, limit_process
from farends.dialing import Policy
from farends.wire.tls import trusting_system

_LIMITS = ProcessLimits(data_bytes=256 << 20, written_bytes=0)
_CPU_S = 20.0  # of one message
_BLOCK_BYTES = 1 << 16
_STDIN, _STDOUT = 0, 1


@dataclass
class _Sending:
    """A process that sends one message, and the pipe by which it tells how that went."""

    letter: Letter
    pid: int
    began_at: float
    buffer: FrameBuffer

    @property
    def ends_at(self) -> float:
        return self.began_at + self.letter.within_s


class _Forker:
    def __init__(self) -> None:
        self._select = selectors.DefaultSelector()
        self._sendings: dict[int, _Sending] = {}

    def serve(self) -> None:
        """Until standard input ends: whoever asks is gone then, and so are all that still send."""
        asked = FrameBuffer()
        self._select.register(_STDIN, selectors.EVENT_READ)
        while True:
            for key, _ in self._select.select(self._wait_s()):
                data = os.read(key.fd, _BLOCK_BYTES)
                if key.fd == _STDIN and not data:
                    self._kill_all()
                    return
                if key.fd == _STDIN:
                    for payload in asked.feed(data):
                        self._begin(read_letter(payload))
                else:
                    self._hear(key.fd, data)
            self._end_late()

    def _wait_s(self) -> float | None:
        if not self._sendings:
            return None
        return max(0.0, min(one.ends_at for one in self._sendings.values()) - time.monotonic())

    def _begin(self, letter: Letter) -> None:
        read_end, write_end = os.pipe()
        pid = os.fork()
        if pid == 0:
            _send_and_end(letter, write_end)
        os.close(write_end)
        self._sendings[read_end] = _Sending(letter, pid, time.monotonic(), FrameBuffer())
        self._select.register(read_end, selectors.EVENT_READ)

    def _hear(self, pipe: int, data: bytes) -> None:
        told = self._sendings[pipe].buffer.feed(data)
        if told:
            self._finish(pipe, read_receipt(told[0]))
        elif not data:
            number = self._sendings[pipe].letter.number
            words = "The process that sent it ended without a word."
            self._finish(pipe, SendReceipt(number, False, COURIER_LOST, words))

    def _end_late(self) -> None:
        now = time.monotonic()
        for pipe in [pipe for pipe, one in self._sendings.items() if one.ends_at <= now]:
            letter = self._sendings[pipe].letter
            words = f"There was no answer within {letter.within_s:g} s."
            self._finish(pipe, SendReceipt(letter.number, False, TIMED_OUT, words))

    def _finish(self, pipe: int, receipt: SendReceipt) -> None:
        sending = self._sendings.pop(pipe)
        self._select.unregister(pipe)
        os.close(pipe)
        _kill(sending.pid)
        receipt.took_s = round(time.monotonic() - sending.began_at, 3)
        _write_all(_STDOUT, pack_told(receipt))

    def _kill_all(self) -> None:
        for sending in self._sendings.values():
            _kill(sending.pid)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _write_all(number: int, data: bytes) -> None:
    while data:
        data = data[os.write(number, data) :]


def _send_and_end(letter: Letter, write_end: int) -> None:
    """In the forked process, which never returns."""
    try:
        for number in (_STDIN, _STDOUT):
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.dup2(nowhere, number)
            os.close(nowhere)
        allow_cpu(_CPU_S)
        answer = _send(letter)
        receipt = SendReceipt(
            letter.number, answer.delivered, answer.code, answer.detail, answer.retry_after_s
        )
        _write_all(write_end, pack_told(receipt))
    finally:
        os._exit(0)


def _send(letter: Letter) -> SendAnswer:
    seen = Witnessed()
    policy = Policy.parse(letter.networks, letter.own_listeners)
    guard_process(policy, seen)
    try:
        url = read_channel_url(letter.url)
        body = json.loads(letter.body)
        delivery = str(body["syncproject"]["delivery"])
        if url.scheme.plugin in ("json", "jsons"):
            return send_by_json(url, letter.body, delivery, policy, letter.within_s)
        return send_by_apprise(url, body, letter.within_s, seen)
    except ChannelUrlRefused as exc:
        return SendAnswer(False, CHANNEL_INVALID, str(exc))
    except Exception as exc:  # noqa: BLE001 — of a foreign library, whatever it is
        judged = seen.judge()
        words = f"The message could not be sent: {type(exc).__name__}."  # its text may hold the URL
        return (
            judged if judged.code != CONNECTION_LOST else SendAnswer(False, CONNECTION_LOST, words)
        )


def _main() -> None:
    os.environ["NETRC"] = os.devnull  # requests looks for passwords there
    load_plugins()
    trusting_system()  # 50 ms that no message waits for
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    limit_process(_LIMITS)
    _write_all(_STDOUT, wrap(READY))
    _Forker().serve()


if __name__ == "__main__":
    _main()
