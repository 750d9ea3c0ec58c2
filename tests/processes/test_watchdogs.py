"""What real workers and beats tell of themselves, and what is seen when they do not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from django.db import connection

from syncjobs.models import ProcessSign, Pulse
from tests.processes.conftest import Start
from tests.proxy import proxying
from tests.waiting import until

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]


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
    drained.popen.wait(90)
    assert pids() == {killed.popen.pid}
    killed.send(signal.SIGKILL)
    killed.popen.wait(90)
    assert pids() == {killed.popen.pid}  # its row is left to grow old
    beat.send(signal.SIGTERM)
    beat.popen.wait(90)
    assert pids("beat") == set()


def test_a_watchdog_in_a_container_ends_a_stopped_process_and_itself(start: Start) -> None:
    watchdog = start("attended worker", SYNC_PRESENCE_SECONDS="0.5", SYNC_SILENT_SECONDS="6")
    until(pids, "the worker did not tell")
    (worker,) = pids()
    assert worker != watchdog.popen.pid
    os.kill(worker, signal.SIGSTOP)
    until(lambda: watchdog.popen.poll() is not None, "it was not ended", within_s=90)
    assert watchdog.popen.returncode == 75
    assert "is stuck, silent for" in watchdog.log.read_text()
    assert not Path(f"/proc/{worker}").exists()


def test_a_watchdog_passes_a_stop_on(start: Start) -> None:
    watchdog = start("attended worker")
    until(pids, "the worker did not tell")
    watchdog.send(signal.SIGTERM)
    until(lambda: watchdog.popen.poll() is not None, "it stayed", within_s=60)
    assert watchdog.popen.returncode == 0
    assert pids() == set()


def test_nobody_is_ended_while_the_database_does_not_answer(start: Start) -> None:
    quick = {"SYNC_PRESENCE_SECONDS": "0.2", "SYNC_SILENT_SECONDS": "2"}
    with proxying(int(connection.settings_dict["PORT"])) as way:
        watchdog = start("attended worker", database_port=way.port, **quick)
        until(pids, "the worker did not tell")
        (worker,) = pids()
    # Refused at each of its turns, so for longer than it may be silent.
    until(
        lambda: watchdog.log.read_text().count("presence.failed") > 20,
        "it had a way to the database",
        within_s=120,
    )
    assert watchdog.popen.poll() is None
    assert Path(f"/proc/{worker}").exists()
    assert "is stuck" not in watchdog.log.read_text()
