"""What real workers and beats tell of themselves, and what is seen when they do not."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from syncjobs.models import ProcessSign, Pulse
from tests.processes.conftest import Process
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

Start = Callable[[str], Process]


def pids(part: str = "worker") -> set[int]:
    names = ProcessSign.objects.filter(part=part).values_list("name", flat=True)
    return {int(name.split(":")[1]) for name in names}


def test_workers_and_beat_tell_of_themselves_while_they_live(start: Start) -> None:
    drained, killed = start("worker"), start("worker")
    beat = start("beat")
    until(lambda: pids() == {drained.popen.pid, killed.popen.pid}, "a worker did not tell")
    until(lambda: pids("beat") == {beat.popen.pid}, "beat did not tell")
    parts = {"beat", "reaper", "queue:control", "queue:sync"}
    until(
        lambda: parts <= set(Pulse.objects.values_list("part", flat=True)),
        "a part gave no sign",
    )
    assert f":{beat.popen.pid}:" in Pulse.objects.get(part="beat").holder
    answerer = Pulse.objects.get(part="queue:sync").holder
    assert ProcessSign.objects.filter(name=answerer).exists()
    drained.send(signal.SIGTERM)
    drained.popen.wait(20)
    assert pids() == {killed.popen.pid}
    killed.send(signal.SIGKILL)
    killed.popen.wait(10)
    assert pids() == {killed.popen.pid}  # its row is left to grow old
    beat.send(signal.SIGTERM)
    beat.popen.wait(20)
    assert pids("beat") == set()
