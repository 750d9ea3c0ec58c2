"""The list of meaning: by the built-in model, and as complete by a walk of the graph as by comparing all."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from datasets.models import Dataset
from search.core.fusion import Matched
from search.core.scanning import Scan, choose_scan
from search.embedding.builtin import DIMENSIONS
from search.embedding.contract import Vector, make_unit
from search.embedding.queries import QueryVector
from search.models import GenerationState, IndexGeneration, TextChunk
from search.querying.lexemes_of_query import lexeme_counts
from search.querying.meaning import list_by_meaning
from search.querying.question import Question, SearchMode
from search.querying.scope import SearchScope
from search.querying.search import search
from search.vectors.graphs import tend_graph
from search.vectors.tables import ChunkVector, copy_vectors, ensure_vector_table
from tests.rows import make_workspace
from tests.search.filling import fill_dataset, fill_vectors
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)

TEXTS = [
    ("backup.md", "Copies of the database are kept for thirty-five days and then destroyed.\n"),
    ("bees.md", "Two colonies of bees live behind the car park and give honey in summer.\n"),
    ("serial.txt", "The pump with serial V-1138 was repaired on Monday.\n"),
]
SMALL, LARGE = 20, 780
QUESTIONS = 6


@pytest.fixture(autouse=True)
def _fresh_counts() -> Iterator[None]:
    lexeme_counts.forget()
    yield
    lexeme_counts.forget()


def test_a_question_in_other_words_is_answered_and_an_exact_name_stays_first() -> None:
    acme, lab = make_workspace(), make_workspace("lab")
    for workspace in (acme, lab):
        fill_dataset(workspace, "handbook", TEXTS)
        fill_vectors(workspace)
    found = search(
        acme, Question("Wie lange werden Sicherungen aufbewahrt?", mode=SearchMode.MEANING)
    )
    assert found.degraded == []
    assert found.items[0].path == "backup.md"
    assert (found.items[0].matched, found.items[0].highlights) == (Matched.MEANING, ())
    first = search(acme, Question("V-1138")).items[0]
    assert (first.path, first.matched) == ("serial.txt", Matched.BOTH)
    mine = set(acme.datasets.values_list("pk", flat=True))
    for mode in SearchMode:
        items = search(acme, Question("bees and honey", mode=mode)).items
        assert {hit.dataset_id for hit in items} == mine
    assert search(acme, Question('"no such phrase"', mode=SearchMode.MEANING)).items == []
    left = search(acme, Question("bees -honey", mode=SearchMode.MEANING)).items
    assert "bees.md" not in {hit.path for hit in left}


@pytest.fixture
def graph(monkeypatch: pytest.MonkeyPatch) -> IndexGeneration:
    """800 contents with vectors of chance, a graph over them, and the rule that always walks it."""
    acme = make_workspace()
    chance = random.Random(3)  # noqa: S311 - filler
    generation = IndexGeneration.objects.create(
        workspace=acme, service="builtin", model="m", dimensions=DIMENSIONS, signature="s",
        state=GenerationState.SERVING,
    )  # fmt: skip
    ensure_vector_table(DIMENSIONS)
    for name, count in (("small", SMALL), ("large", LARGE)):
        texts = [
            (f"area-{n % 40}/{n}.{'md' if n % 3 else 'txt'}", f"{name} {n}") for n in range(count)
        ]
        _give_vectors(fill_dataset(acme, name, texts), generation, chance)
    monkeypatch.setattr("search.vectors.graphs.GRAPH_FROM", 1)
    monkeypatch.setattr("search.core.scanning.EXACT_ROWS", 0)
    tend_graph(generation, SMALL + LARGE, lambda: None)
    assert generation.has_graph
    return generation


def _give_vectors(dataset: Dataset, generation: IndexGeneration, chance: random.Random) -> None:
    rows = [
        ChunkVector(pk, generation.pk, dataset.workspace_id, dataset.pk, text_id, _vector(chance))
        for pk, text_id in TextChunk.objects.filter(dataset=dataset).values_list("pk", "text_id")
    ]
    with connection.cursor() as cursor:
        copy_vectors(cursor, DIMENSIONS, rows)


def _vector(chance: random.Random) -> Vector:
    unit = make_unit([chance.gauss(0, 1) for _ in range(DIMENSIONS)])
    assert unit is not None
    return unit


def test_a_filter_never_makes_a_walk_short(graph: IndexGeneration) -> None:
    acme: Workspace = graph.workspace
    small, large = (acme.datasets.get(name=name).pk for name in ("small", "large"))
    scopes = [
        SearchScope(acme.pk),
        SearchScope(acme.pk, dataset_ids=(small,)),
        SearchScope(acme.pk, dataset_ids=(large,), types=(".txt",)),
        SearchScope(acme.pk, prefix="area-7/"),
        SearchScope(acme.pk, dataset_ids=(small,), types=(".md",)),
    ]
    chance = random.Random(5)  # noqa: S311 - filler
    for scope in scopes:
        for _ in range(QUESTIONS):
            asked = QueryVector(_vector(chance), graph.pk, DIMENSIONS)
            by_graph = _nearest(graph, scope, asked, has_graph=True)
            exact = _nearest(graph, scope, asked, has_graph=False)
            assert len(by_graph) == len(exact), scope
            assert len(set(by_graph) & set(exact)) >= 0.95 * len(exact), scope


def test_a_walk_that_meets_few_of_the_scope_goes_on(
    graph: IndexGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.querying.meaning.WALKED", 0)
    monkeypatch.setattr("search.querying.meaning.WALKED_ROWS", range(30, 30))
    scope = SearchScope(graph.workspace_id, types=(".txt",))
    asked = QueryVector(_vector(random.Random(5)), graph.pk, DIMENSIONS)  # noqa: S311 - filler
    exact = _nearest(graph, scope, asked, has_graph=False)
    monkeypatch.delattr("search.querying.meaning._compare")  # nobody has to compare all
    assert len(set(_nearest(graph, scope, asked, has_graph=True)) & set(exact)) >= 9


def _nearest(
    generation: IndexGeneration, scope: SearchScope, asked: QueryVector, *, has_graph: bool
) -> list[int]:
    IndexGeneration.objects.filter(pk=generation.pk).update(has_graph=has_graph)
    with transaction.atomic():
        return [hit.text_id for hit in list_by_meaning(scope, asked, 100)][:10]


@pytest.mark.parametrize(
    ("in_scope", "has_graph", "scan"),
    [
        (900_000, True, Scan.GRAPH),
        (900_000, False, Scan.EXACT),
        (50_000, True, Scan.EXACT),
        (50_001, True, Scan.GRAPH),
    ],
)
def test_the_size_of_the_scope_decides_how_it_is_searched(
    in_scope: int, *, has_graph: bool, scan: Scan
) -> None:
    assert choose_scan(in_scope, has_graph=has_graph) is scan
