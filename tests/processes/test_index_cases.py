"""Cases of search that need the whole way: a sync by a worker, vectors by the index process, an answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from datasets.models import Dataset
from search.choices import write_choice
from search.embedding.breaker import find_breaker
from search.embedding.queries import embed_question
from search.models import ChunkRefusal, IndexState
from search.vectors.generations import find_building, find_serving, settle_generation
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncRecord, Trigger
from syncjobs.queueing.enqueueing import enqueue
from tests.hosts.scripted_embeddings import (
    Hangs,
    Refuses,
    ScriptedEmbeddings,
    answer_all,
    scripted_embeddings,
)
from tests.hosts.sshd import Sshd
from tests.processes.conftest import Start
from tests.processes.records import until_final
from tests.rows import fill, make_connector, make_job
from tests.search.chunks import index_of, read_vectors
from tests.waiting import until
from workspaces.models import Workspace

pytestmark = [pytest.mark.process, pytest.mark.django_db(transaction=True)]

TEXTS = {
    f"doc{number:02}.md": f"# Chapter {number}\n\nWhat chapter {number} says of the harbour.\n".encode()
    for number in range(20)
}


def choose(service: ScriptedEmbeddings, workspace: Workspace, **more: Any) -> None:
    embedding = {"service": "openai", "url": service.url, "model": "m-1", **more}
    write_choice(workspace, {"embedding": embedding})
    settle_generation(workspace.pk)


def sync(job: SyncJob) -> SyncRecord:
    record = until_final(enqueue(job, trigger=Trigger.MANUAL))
    assert record.state == State.SUCCEEDED
    return record


def until_current(dataset: Dataset) -> None:
    until(
        lambda: (
            (index := index_of(dataset)).state == IndexState.CURRENT and not index.pending_chunks
        ),
        "the index did not catch up",
        within_s=90,
    )


def test_a05_a07_a10_each_text_goes_to_the_service_once(
    start: Start, sshd: Sshd, source: Path
) -> None:
    for kind in ("worker", "index", "beat"):
        start(kind)
    fill(source, {**TEXTS, "copy/doc00.md": TEXTS["doc00.md"]})
    with scripted_embeddings() as service:
        first = make_job(make_connector(sshd.target(source)))
        choose(service, first.workspace)
        service.habit = lambda texts: (
            Refuses("400 Bad Request", "forbidden words")
            if any("chapter 7 " in text for text in texts)
            else answer_all(texts)
        )
        sync(first)
        until_current(first.dataset)
        sent = {text for text in service.texts if text != "ok"}
        assert len(sent) == len(TEXTS)
        assert len(read_vectors()) == len(TEXTS) - 1
        assert [row.code for row in ChunkRefusal.objects.all()] == ["embed_refused"]
        asked = len(service.batches)
        # Without a change, and for a second dataset with the same files, nobody is asked.
        sync(first)
        second = make_job(make_connector(sshd.target(source)))
        sync(second)
        until_current(second.dataset)
        assert len(service.batches) == asked
        assert len(read_vectors()) == 2 * (len(TEXTS) - 1)
        # One more file is one more text.
        fill(source, {"new.md": b"Something new about lighthouses.\n"})
        sync(first)
        until_current(first.dataset)
        assert [len(batch) for batch in service.batches[asked:]] == [1]


def test_a12_a13_a_limit_is_obeyed_and_a_new_model_serves_when_it_is_whole(
    start: Start, sshd: Sshd, source: Path
) -> None:
    for kind in ("worker", "index", "beat"):
        start(kind)
    fill(source, TEXTS)
    with scripted_embeddings() as service:
        job = make_job(make_connector(sshd.target(source)))
        choose(service, job.workspace)
        limited: list[list[str]] = []

        def limit_once(texts: list[str]) -> Any:
            if not limited:
                limited.append(texts)
                return Refuses("429 Too Many Requests", "slow down", ("Retry-After: 2",))
            return answer_all(texts)

        service.habit = limit_once
        sync(job)
        until_current(job.dataset)
        assert (len(service.batches), find_breaker(job.workspace_id).failures) == (2, 0)
        old = find_serving(job.workspace_id)
        assert old is not None

        asked = len(service.batches)
        service.habit = lambda texts: (
            Hangs() if len(service.batches) > asked + 2 else answer_all(texts)
        )
        choose(service, job.workspace, model="m-2", batch=5)
        service.wait_for_request(asked + 3)
        until(lambda: index_of(job.dataset).pending_chunks == 10, "two batches were not written")
        assert find_serving(job.workspace_id) == old
        building = find_building(job.workspace_id)
        assert building is not None
        assert (building.done_chunks, building.total_chunks) == (10, 20)
        assert embed_question(job.workspace, "harbour", 5.0).generation in (old.pk, None)
        service.habit = answer_all
        # The request that hangs is given up, and one text asks whether the service is back.
        until_current(job.dataset)
        until(lambda: find_building(job.workspace_id) is None, "it does not serve")
        serving = find_serving(job.workspace_id)
        assert serving is not None
        assert serving.model == "m-2"
        choose(service, job.workspace)
        assert find_serving(job.workspace_id) == old


def test_a_sync_asks_no_embedding_service_whatever_its_state(
    start: Start, sshd: Sshd, source: Path
) -> None:
    start("worker")
    start("beat")
    fill(source, TEXTS)
    with scripted_embeddings(lambda texts: Hangs()) as service:
        job = make_job(make_connector(sshd.target(source)))
        choose(service, job.workspace)
        record = sync(job)
        assert record.files_added == len(TEXTS)
        index = index_of(job.dataset)
        assert (index.state, index.pending_texts) == (IndexState.CATCHING_UP, 0)
        assert index.pending_chunks == len(TEXTS)
        assert service.batches == []
