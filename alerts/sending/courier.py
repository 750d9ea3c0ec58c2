"""The child that sends, as its parent sees it: letters go in, receipts come out, and no URL is on a command line."""

from __future__ import annotations

import itertools
import os
import selectors
import ssl
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

import msgspec
import structlog
from django.conf import settings

from alerts.core.answers import COURIER_LOST, TIMED_OUT
from alerts.courier.frames import READY, FrameBuffer, Letter, SendReceipt, pack_told, read_receipt
from children.confinement import Confinement
from children.starting import end_child, start_module

log = structlog.get_logger(__name__)

WITHIN_S = 15.0  # of one message, from the first byte to the last
_START_S = 60.0
_GRACE_S = 3.0  # then the child itself is stuck
_BLOCK_BYTES = 1 << 16
_ROOT = Path(__file__).parents[2]
_CERTIFICATES = (
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/pki/tls/certs",
    "/etc/pki/ca-trust/extracted",
)


class CourierUnavailable(OSError):
    """The child that sends messages does not start on this machine."""


@dataclass(frozen=True, slots=True)
class _Sent:
    number: int
    ends_at: float


class Courier:
    """Sends several messages at once; one that hangs delays no other. For one thread at a time."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._child: subprocess.Popen[bytes] | None = None
        self._buffer = FrameBuffer()
        self._sent: dict[int, _Sent] = {}

    @property
    def child_pid(self) -> int | None:
        """None: none runs now."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def sending_count(self) -> int:
        return len(self._sent)

    def send(self, url: str, body: bytes, *, within_s: float = WITHIN_S) -> int:
        """Returns the number that the receipt will have. Starts the child where there is none. Raises
        CourierUnavailable."""
        number = next(self._numbers)
        letter = Letter(
            number,
            url,
            body,
            within_s,
            list(settings.ALLOWED_NETWORKS),
            list(settings.OWN_LISTENERS),
        )
        self.start()
        self._sent[number] = _Sent(number, time.monotonic() + within_s + _GRACE_S)
        try:
            if self._child is not None and self._child.stdin is not None:
                self._child.stdin.write(pack_told(letter))
                self._child.stdin.flush()
        except OSError:
            pass  # it has ended, which `wait` tells
        return number

    def start(self, *, within_s: float = _START_S) -> None:
        """Starts the child where there is none, and waits until it can send. Raises CourierUnavailable."""
        if self.child_pid is None and not self._sent:
            self._start(within_s)

    def wait(self, timeout_s: float) -> list[SendReceipt]:
        """Receipts that come within that time; each letter gets one in the end."""
        if not self._sent or self._child is None:
            return []
        told: list[SendReceipt] = []
        now = time.monotonic()
        soonest = min(one.ends_at for one in self._sent.values())
        if self._select.select(max(0.0, min(timeout_s, soonest - now))):
            data = os.read(self._answers.fileno(), _BLOCK_BYTES)
            try:
                told = [read_receipt(payload) for payload in self._buffer.feed(data)]
            except (ValueError, msgspec.DecodeError):
                data = b""
            if not data:
                return self._lose(COURIER_LOST)
        for receipt in told:
            self._sent.pop(receipt.number, None)
        if not told and time.monotonic() >= soonest:
            return self._lose(TIMED_OUT)
        return told

    def close(self) -> None:
        child, self._child = self._child, None
        self._sent.clear()
        if child is not None:
            self._select.close()
            end_child(child)

    def _start(self, within_s: float) -> None:
        self.close()
        self._buffer = FrameBuffer()
        reading = (_ROOT / "farends", *map(Path, _CERTIFICATES), *_find_trusted())
        self._child = start_module(
            "alerts.courier.child",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None,  # why it does not start; what it says of messages goes nowhere
            reach=Confinement(reading=reading),
        )
        self._answers = cast("BinaryIO", self._child.stdout)
        self._select = selectors.DefaultSelector()
        self._select.register(self._answers, selectors.EVENT_READ)
        self._wait_until_ready(within_s)

    def _wait_until_ready(self, within_s: float) -> None:
        ends_at = time.monotonic() + within_s
        while time.monotonic() < ends_at:
            if not self._select.select(0.5):
                continue
            data = os.read(self._answers.fileno(), _BLOCK_BYTES)
            if READY in self._buffer.feed(data):
                return
            if not data:
                break
        self.close()
        raise CourierUnavailable("The child that sends messages does not start.")

    def _lose(self, code: str) -> list[SendReceipt]:
        """The child is gone or stuck: whatever it was sending is tried again, under the same key."""
        lost = list(self._sent.values())
        self.close()
        log.warning("alerts.courier_lost", code=code, messages=len(lost))
        words = "The process that sends messages ended."
        return [SendReceipt(one.number, False, code, words) for one in lost]


def _find_trusted() -> Sequence[Path]:
    """Where this machine keeps the authorities that TLS trusts."""
    paths = ssl.get_default_verify_paths()
    return [Path(one) for one in (paths.cafile, paths.capath) if one]
