"""`stream NAME …` and `connectivity`, with a real client system."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from outbox.figures import read_status
from outbox.intake import take
from outbox.models import Stream, StreamState
from tests.outbox.hosts import Receiver, keys, running_receiver, stream_to
from tests.outbox.rows import make_client, make_stream, readings

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with running_receiver(tmp_path / "taken.jsonl") as running:
        yield running


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    status = 0
    try:
        call_command(*words)
    except SystemExit as exc:
        status = int(exc.code or 0)
    out, err = capsys.readouterr()
    return status, out, err


def test_status_is_the_object_of_rest(capsys: pytest.CaptureFixture[str]) -> None:
    take(make_stream(name="meters"), readings(1, 2))
    status, out, _ = run(capsys, "stream", "meters", "status", "--json")
    told = json.loads(out)
    assert (status, told["queue_size"], told["connectivity"]["is_connected"]) == (0, 2, None)
    assert "queue_size" in run(capsys, "stream", "meters", "status")[1]
    with pytest.raises(CommandError, match="there are: meters"):
        call_command("stream", "metres", "status")


def test_send_tells_by_its_exit_status_what_became_of_the_queue(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = stream_to(receiver, name="meters")
    take(stream, readings(*range(25)))
    status, out, _ = run(capsys, "stream", "meters", "send", "--json")
    assert (status, json.loads(out)["queue_size"]) == (0, 0)
    assert receiver.keys == keys(*range(25))
    assert run(capsys, "stream", "meters", "send")[0] == 0  # empty
    take(stream, readings(100))
    receiver.control(status=401)
    assert run(capsys, "stream", "meters", "send")[0] == 1
    assert run(capsys, "stream", "meters", "send")[0] == 1  # still paused
    stream.client.port = 1  # the secret was stored for another
    stream.client.save()
    Stream.objects.update(state=StreamState.RUNNING)
    status, out, _ = run(capsys, "stream", "meters", "send", "--json")
    assert (status, "enter it again" in json.loads(out)["reason"]) == (1, True)
    stream.client.sealed_secret = ""
    stream.client.save()
    Stream.objects.update(state=StreamState.RUNNING)
    status, out, _ = run(capsys, "stream", "meters", "send", "--json")
    assert (status, json.loads(out)["queue_size"]) == (2, 1)


CSV = "\ufeffmeter,kWh,at\nm-1,12.5,10:00\nm-2,7,10:00\nm-2,8,10:15\n,1,10:15\nm-3,1\n"


def test_a_table_is_imported_and_may_be_imported_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = make_stream(name="meters")
    file = tmp_path / "readings.csv"
    file.write_text(CSV, encoding="utf-8")
    words = ("stream", "meters", "import", str(file), "--key", "meter")
    status, out, err = run(capsys, *words)
    assert (status, json.loads(out)) == (
        1,
        {"accepted": 2, "duplicates": 1, "conflicts": 0, "refused": 2},
    )
    assert ("line 5: give 1 to 200" in err, "line 6: 2 fields of 3" in err) == (True, True)
    assert json.loads(run(capsys, *words)[1]) == {
        "accepted": 0, "duplicates": 3, "conflicts": 0, "refused": 2,
    }  # fmt: skip
    assert read_status(stream).queue_size == 2


def test_a_pipe_of_json_lines_is_imported(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = make_stream(name="meters")
    lines: list[Any] = [*readings(*range(10_005)), {"id": 7, "v": 1}]
    text = "\n".join(map(json.dumps, lines)) + "\n\n{nonsense\n"
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    status, out, err = run(capsys, "stream", "meters", "import", "-")
    assert json.loads(out) == {"accepted": 10_005, "duplicates": 0, "conflicts": 0, "refused": 2}
    assert (status, "line 10008: no JSON" in err) == (1, True)
    assert read_status(stream).queue_size == 10_005
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"id": 7, "v": 1}\n')))
    status, out, _ = run(capsys, "stream", "meters", "import", "-", "--key", "id")
    assert (status, json.loads(out)["accepted"]) == (0, 1)


def test_an_import_into_a_full_queue_tells_what_was_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_stream(name="meters", max_queued=10_000)
    file = tmp_path / "readings.jsonl"
    file.write_text("\n".join(map(json.dumps, readings(*range(10_001)))))
    with pytest.raises(CommandError, match="max_queued"):
        call_command("stream", "meters", "import", str(file))
    assert json.loads(capsys.readouterr().out)["accepted"] == 10_000
    for words in (("import",), ("status", "x"), ("import", "/nowhere/x.csv")):
        with pytest.raises(CommandError):
            call_command("stream", "meters", *words)


def test_redrive_takes_a_stream_as_it_takes_a_record(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = stream_to(receiver, {}, name="meters")
    take(stream, readings(*range(3)))
    receiver.control(reject={keys(1)[0]: "no"}, times=1)
    assert run(capsys, "stream", "meters", "send")[0] == 0
    assert json.loads(run(capsys, "redrive", "meters", "--json")[1]) == {"redriven": 1}
    assert "0 readings go again" in run(capsys, "redrive", "meters")[1]
    with pytest.raises(CommandError, match="of a record's rows"):
        run(capsys, "redrive", "meters", "--wait")


def test_dead_letters_are_listed_and_sent_again_and_hours_compared(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = stream_to(receiver, {"paths.digest": "/digest"}, name="meters")
    take(stream, readings(*range(5)))
    receiver.control(reject={keys(1)[0]: "no", keys(3)[0]: "no"}, times=1)
    assert run(capsys, "stream", "meters", "send")[0] == 0
    letters = run(capsys, "stream", "meters", "dead-letters")[1].splitlines()
    assert [json.loads(line)["key"] for line in letters] == keys(1, 3)
    assert json.loads(run(capsys, "stream", "meters", "redrive")[1]) == {"redriven": 2}
    assert run(capsys, "stream", "meters", "send")[0] == 0
    assert sorted(receiver.keys) == keys(*range(5))
    receiver.lose(keys(2)[0])
    assert json.loads(run(capsys, "stream", "meters", "reconcile")[1]) == {
        "hours": 1, "differing": 1, "resent": 1,
    }  # fmt: skip


def test_connectivity_is_told_and_checked(
    receiver: Receiver, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = stream_to(receiver)
    away = make_client(port=1, options={"tls": False})
    status, out, _ = run(capsys, "connectivity")
    assert (status, out.count("not checked yet")) == (0, 2)
    status, out, _ = run(capsys, "connectivity", stream.client.name, "--check", "--json")
    assert (status, json.loads(out)["is_connected"]) == (0, True)
    assert run(capsys, "connectivity", away.name, "--check")[0] == 0  # one failure is no outage
    status, out, _ = run(capsys, "connectivity", "--check", "--json")
    assert (status, [one["is_connected"] for one in json.loads(out)]) == (1, [True, False])
