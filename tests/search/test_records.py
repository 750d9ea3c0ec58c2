"""A record indexes what it has published, and nothing that happens there ends it otherwise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connection

from embedded.ports import find_free
from search.choices import write_choice
from search.core.wishes import IndexWish
from search.embedding.breaker import note_embed_failure
from search.embedding.contract import EmbedCode, EmbedFailed
from search.indexing import batches, stage
from search.indexing.troubles import TroubleSource, list_troubles
from search.models import DatasetIndex, EmbeddingCount, IndexedText, KnownWord, TextChunk, TextPaths
from store.errors import StoreMissing
from syncjobs.configuration.jobs import delete_workspace, save_job
from syncjobs.core.states import Stage, State
from syncjobs.engine.progress import Progress, Snapshot
from syncjobs.engine.stops import CancelAsked, DrainAsked, LeaseLost
from syncjobs.leases.lease import Lease
from syncjobs.models import SyncJob, SyncRecord
from syncjobs.upkeep.rollback import roll_back
from syncjobs.works.files import work
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run
from tests.search.documents import HOSTILE, make_locked_pdf
from tests.search.indexes import chunks_of, fresh_chunks_of, has_true_counts, index
from tests.search.test_text_stage import finds

pytestmark = pytest.mark.django_db(transaction=True)

FILES = {
    "guide/install.md": b"# Install\n\nThe HeaderMismatch of V-1138 is told on Linux.\n",
    **{f"notes/{number}.txt": b"note number %d of many" % number for number in range(30)},
}


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, FILES)
    return make_job(make_connector(sshd.target(source)), index=IndexWish.WORDS)


def held(job: SyncJob) -> DatasetIndex:
    return DatasetIndex.objects.get(dataset=job.dataset_id)


def test_a_record_indexes_what_it_published(job: SyncJob, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Snapshot] = []
    real = Progress.indexing

    def indexing(progress: Progress, done: int, total: int) -> None:
        real(progress, done, total)
        seen.append(progress.snapshot)

    monkeypatch.setattr(Progress, "indexing", indexing)
    record = run(job)
    assert (record.state, record.warning, record.percentage) == (State.SUCCEEDED, "", 100)
    assert {told.stage for told in seen} == {Stage.UPDATING_EMBEDDINGS}
    shares = [told.percentage for told in seen]
    assert (len(shares), shares[0] > 95, shares[-1]) == (31, True, 99)
    assert shares == sorted(shares)
    assert (held(job).state, held(job).indexed_version) == ("current", 1)
    assert finds(job.dataset, "mismatch") == {"guide/install.md"}
    assert chunks_of(job.dataset) == fresh_chunks_of(job.dataset)


def test_a02_what_the_source_removed_is_not_found_once_the_record_has_published(
    job: SyncJob, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(job)
    (source / "guide/install.md").unlink()
    monkeypatch.setattr(work, "index_version", lambda *_: "")  # nothing but the publication
    record = run(job)
    assert (record.state, record.files_removed) == (State.SUCCEEDED, 1)
    assert finds(job.dataset, "mismatch") == set()
    assert held(job).state == "catching_up"


def test_a05_a_sync_without_a_change_writes_nothing_into_the_index(job: SyncJob) -> None:
    run(job)
    before = _places()
    asked: list[str] = []

    def note(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        asked.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        record = run(job)
    assert (record.state, record.files_unchanged) == (State.SUCCEEDED, len(FILES))
    assert _places() == before
    assert not [sql for sql in asked if "search_" in sql]


def _places() -> list[tuple[str, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 'index', ctid::text, xmin::text FROM search_datasetindex UNION ALL"
            " SELECT 'text', ctid::text, xmin::text FROM search_indexedtext UNION ALL"
            " SELECT 'chunk', ctid::text, xmin::text FROM search_textchunk ORDER BY 1, 2"
        )
        return list(cursor.fetchall())


def test_a09_a_rollback_takes_search_with_it(job: SyncJob, source: Path) -> None:
    run(job)
    ids = set(TextChunk.objects.values_list("pk", flat=True))
    fill(source, {"guide/install.md": b"# Install\n\nThe CookieMismatch is told.\n"})
    run(job)
    assert (finds(job.dataset, "headermismatch"), finds(job.dataset, "cookiemismatch")) == (
        set(),
        {"guide/install.md"},
    )
    roll_back(job.dataset_id, 1, by="ann")
    assert finds(job.dataset, "headermismatch") == {"guide/install.md"}
    assert finds(job.dataset, "cookiemismatch") == set()
    assert (held(job).state, held(job).published_version) == ("catching_up", 3)
    assert index(job.dataset).texts == 0  # nothing is read, and no chunk is new to a model
    assert held(job).state == "current"
    assert ids <= set(TextChunk.objects.values_list("pk", flat=True))
    assert has_true_counts(job.dataset)


def test_a09_a_rollback_to_what_the_index_has_forgotten_is_indexed_from_blobs(
    job: SyncJob, source: Path
) -> None:
    run(job)
    fill(source, {"guide/install.md": b"# Install\n\nThe CookieMismatch is told.\n"})
    run(job)
    fill(source, {"guide/install.md": b"# Install\n\nThe TokenMismatch is told.\n"})
    run(job)
    index(job.dataset, keep_s=0)
    IndexedText.objects.exclude(gone_at=None).update(gone_at="2000-01-01T00:00Z")
    fill(source, {"more.txt": b"one more"})
    run(job)
    assert not IndexedText.objects.exclude(gone_at=None).exists()
    roll_back(job.dataset_id, 1, by="ann")
    assert index(job.dataset).texts == 1
    assert finds(job.dataset, "headermismatch") == {"guide/install.md"}
    assert chunks_of(job.dataset) == fresh_chunks_of(job.dataset)


def test_a15_a_hostile_document_fails_alone_and_is_told_by_its_code(
    job: SyncJob, source: Path
) -> None:
    hostile = ("bomb.docx", "stream.pdf", "laughs.docx", "xxe.docx")
    made = {name: HOSTILE[name][0]() for name in hostile} | {"locked.pdf": make_locked_pdf()}
    fill(source, made)
    record = run(job)
    assert (record.state, record.files_added) == (State.SUCCEEDED, len(FILES) + len(made))
    codes = {
        trouble.path: trouble.code
        for trouble in list_troubles(job.dataset_id, source=TroubleSource.TEXT, after=0, most=100)
    }
    assert set(codes) == set(made)
    assert codes["locked.pdf"] == "encrypted"
    assert all(codes[name] in HOSTILE[name][1] for name in hostile)
    assert (held(job).state, held(job).text_count, held(job).refused_count) == (
        "current",
        len(FILES),
        len(made),
    )
    assert finds(job.dataset, "mismatch") == {"guide/install.md"}


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CancelAsked(), "A cancel was asked for"),
        (DrainAsked(), "The worker is shutting down"),
        (StoreMissing("the store is not mounted"), "store_missing: the store is not mounted"),
        (OSError(5, "Input/output error"), "store_io: Input/output error"),
        (ZeroDivisionError(), "internal error: ZeroDivisionError"),
    ],
)
def test_what_stops_the_stage_leaves_the_record_succeeded_with_a_warning(
    job: SyncJob, error: Exception, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = batches.ChunkCopy.write
    left = [5]

    def write(*args: Any) -> int:
        left[0] -= 1
        if left[0] < 0:
            raise error
        return real(*args)

    with monkeypatch.context() as broken:
        broken.setattr(batches.ChunkCopy, "write", write)
        if isinstance(error, ZeroDivisionError):  # elsewhere than in one file
            broken.setattr(stage.TextStage, "_drop_gone", lambda _: 1 / 0)
            left[0] = 1000
        record = run(job)
    assert (record.state, record.dataset_version) == (State.SUCCEEDED, 1)
    assert record.warning == f"index_behind: {words}"
    assert held(job).state == "catching_up"
    again = run(job)
    assert (again.state, again.warning) == (State.SUCCEEDED, "")
    assert held(job).state == "current"
    assert chunks_of(job.dataset) == fresh_chunks_of(job.dataset)
    assert has_true_counts(job.dataset)


def test_a_lost_lease_ends_the_stage_without_a_word(
    job: SyncJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Lease.check

    def check(lease: Lease) -> None:
        if lease.progress.snapshot.indexed == 3:
            raise LeaseLost
        real(lease)

    with monkeypatch.context() as lost:
        lost.setattr(Lease, "check", check)
        record = run(job)
    assert record.state == State.RUNNING  # the worker that holds it now decides
    assert not TextChunk.objects.exists()
    index(job.dataset)
    assert chunks_of(job.dataset) == fresh_chunks_of(job.dataset)


def test_after_a_worker_died_the_record_leaves_the_index_to_the_queue(job: SyncJob) -> None:
    from syncjobs.attempt.execution import execute
    from syncjobs.leases.heart import Heart
    from syncjobs.models import Trigger
    from syncjobs.queueing.enqueueing import enqueue

    record = enqueue(job, trigger=Trigger.MANUAL)
    SyncRecord.objects.filter(pk=record.pk).update(crash_count=1)
    execute(record.pk, Heart("test"))
    record.refresh_from_db()
    assert record.state == State.SUCCEEDED
    assert record.warning.startswith("index_behind: an earlier attempt was cut off")
    assert not TextChunk.objects.exists()
    assert held(job).state == "catching_up"


def test_the_budget_of_a_record_leaves_the_rest(
    job: SyncJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(settings.SYNC), "index_budget_s", 0.0, raising=False)
    record = run(job)
    assert record.state == State.SUCCEEDED
    assert record.warning == "index_behind: the rest of the texts is left to the queue"
    assert (held(job).pending_texts, held(job).text_count) == (30, 1)


@pytest.mark.parametrize(
    ("failure", "warning"),
    [
        (
            EmbedFailed(EmbedCode.UNREACHABLE, "connection refused"),
            "index_behind: embed_unreachable: connection refused",
        ),
        (
            EmbedFailed(EmbedCode.REFUSED_KEY, "status 401", is_permanent=True),
            "index_behind: embed_refused_key: status 401",
        ),
        (EmbedFailed(EmbedCode.LIMITED, "status 429", retry_after_s=60), ""),
    ],
)
def test_a_service_that_is_down_is_told_by_each_record_that_leaves_vectors_behind(
    sshd: Sshd, source: Path, failure: EmbedFailed, warning: str
) -> None:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)))
    assert run(job).warning == ""  # nobody has asked the service yet
    note_embed_failure(job.workspace_id, failure)
    unchanged = run(job)
    fill(source, {"new.txt": b"more"})
    changed = run(job)
    assert [(one.state, one.warning) for one in (unchanged, changed)] == [
        (State.SUCCEEDED, warning)
    ] * 2
    assert (held(job).pending_texts, held(job).state) == (0, "catching_up")
    assert not EmbeddingCount.objects.exists()  # no request was sent
    DatasetIndex.objects.update(pending_chunks=0)
    assert run(job).warning == ""


def test_a04_the_first_record_with_a_dead_service_says_so(sshd: Sshd, source: Path) -> None:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)))
    url = f"http://127.0.0.1:{find_free()}/v1"
    write_choice(job.workspace, {"embedding": {"service": "openai", "url": url, "model": "any"}})
    record = run(job)
    assert record.state == State.SUCCEEDED
    assert record.warning.startswith("index_behind: embed_unreachable: ")
    assert (held(job).pending_texts, held(job).pending_chunks) == (0, 31)


def test_records_of_jobs_without_vectors_do_not_tell_of_the_service(job: SyncJob) -> None:
    note_embed_failure(job.workspace_id, EmbedFailed(EmbedCode.UNREACHABLE, "connection refused"))
    assert run(job).warning == ""


def test_the_job_says_what_is_indexed(job: SyncJob, source: Path) -> None:
    run(job)
    job.index = IndexWish.OFF
    save_job(job)
    assert (held(job).state, held(job).wish) == ("off", "off")
    run(job)
    assert not TextChunk.objects.exists()
    assert not IndexedText.objects.exists()
    fill(source, {"new.txt": b"more"})
    assert run(job).warning == ""
    assert held(job).state == "off"
    job.index = IndexWish.WORDS
    save_job(job)
    run(job)
    assert held(job).state == "current"
    assert chunks_of(job.dataset) == fresh_chunks_of(job.dataset)


def test_a_job_without_an_index_makes_none(sshd: Sshd, source: Path) -> None:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)), index=IndexWish.OFF)
    record = run(job)
    assert (record.state, record.warning) == (State.SUCCEEDED, "")
    assert held(job).state == "off"
    assert not IndexedText.objects.exists()


def test_nothing_is_left_of_a_deleted_workspace(job: SyncJob) -> None:
    run(job)
    assert TextChunk.objects.exists()
    assert KnownWord.objects.exists()
    workspace, connector = job.workspace, job.connector
    job.delete()
    assert connector is not None
    connector.delete()
    delete_workspace(workspace)
    for model in (DatasetIndex, IndexedText, KnownWord, TextChunk, TextPaths):
        assert not model._default_manager.exists(), model
