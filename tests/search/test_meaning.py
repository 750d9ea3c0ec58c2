"""The list of meaning: by the built-in model, and as complete by cells as by comparing all."""

from __future__ import annotations

import random
from concurrent.futures import Future

import pytest
from django.db import connection, transaction

from datasets.models import Dataset
from search.core.fusion import Matched
from search.core.scanning import Scan, choose_scan, count_cells, count_probes, size_making
from search.embedding.builtin import DIMENSIONS
from search.embedding.contract import EmbedFailed, Vector, make_unit
from search.embedding.queries import QueryVector, _wait_for_builtin
from search.models import GenerationState, IndexGeneration, TextChunk
from search.querying.meaning import list_by_meaning
from search.querying.question import Question, SearchMode
from search.querying.scope import SearchScope
from search.querying.search import search
from search.vectors.cells import name_cells, tend_cells
from search.vectors.tables import ensure_vector_table, insert_vectors, open_staging
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


def test_what_a_question_names_is_not_buried_by_what_meaning_likes() -> None:
    acme = make_workspace()
    texts = [
        (f"errors-{n}.md", f"What an error means, part {n}: error codes.\n") for n in range(12)
    ]
    fill_dataset(acme, "logs", [*texts, ("unit.log", "11:02 unit 5 stopped, E4107, valve shut\n")])
    fill_vectors(acme)
    by_meaning = search(
        acme, Question("what does error E4107 mean?", mode=SearchMode.MEANING, limit=50)
    )
    assert by_meaning.items[0].path != "unit.log"
    assert search(acme, Question("what does error E4107 mean?")).items[0].path == "unit.log"


@pytest.fixture
def cells(monkeypatch: pytest.MonkeyPatch) -> IndexGeneration:
    """800 contents with vectors of chance, 40 cells of them, and the rule that always looks into cells."""
    acme = make_workspace()
    chance = random.Random(3)  # noqa: S311 - filler
    generation = IndexGeneration.objects.create(
        workspace=acme, service="builtin", model="m", dimensions=DIMENSIONS, signature="s",
        state=GenerationState.SERVING,
    )  # fmt: skip
    ensure_vector_table(DIMENSIONS)
    open_staging()
    for name, count in (("small", SMALL), ("large", LARGE)):
        texts = [
            (f"area-{n % 40}/{n}.{'md' if n % 3 else 'txt'}", f"{name} {n}") for n in range(count)
        ]
        _give_vectors(fill_dataset(acme, name, texts), generation, chance)
    monkeypatch.setattr("search.vectors.cells.CELLS_FROM", 1)
    monkeypatch.setattr("search.core.scanning.ROWS_OF_CELL", 20)
    monkeypatch.setattr("search.core.scanning.EXACT_ROWS", 0)
    monkeypatch.setattr("search.core.scanning.EXACT_PART", 1_000_000)
    assert tend_cells(generation, SMALL + LARGE, lambda: None)
    assert generation.cell_count == 40
    return generation


def _give_vectors(dataset: Dataset, generation: IndexGeneration, chance: random.Random) -> None:
    chunks = TextChunk.objects.filter(dataset=dataset).values_list("pk", flat=True)
    with connection.cursor() as cursor:
        insert_vectors(cursor, DIMENSIONS, generation.pk, {pk: _vector(chance) for pk in chunks})


def _vector(chance: random.Random) -> Vector:
    unit = make_unit([chance.gauss(0, 1) for _ in range(DIMENSIONS)])
    assert unit is not None
    return unit


def test_a_filter_never_makes_the_list_of_cells_short(cells: IndexGeneration) -> None:
    acme: Workspace = cells.workspace
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
            asked = QueryVector(_vector(chance), cells.pk, DIMENSIONS)
            by_cells = _nearest(cells, scope, asked)
            exact = _nearest(cells, scope, asked, is_exact=True)
            assert len(by_cells) == len(exact), scope
            assert len(set(by_cells) & set(exact)) >= 0.95 * len(exact), scope


def test_cells_that_hold_few_of_the_scope_are_not_the_last_that_are_looked_into(
    cells: IndexGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.core.scanning.PROBED_ROWS", 0)
    monkeypatch.setattr("search.core.scanning.PROBED_PART", 1_000_000)
    scope = SearchScope(cells.workspace_id, types=(".txt",))
    asked = QueryVector(_vector(random.Random(5)), cells.pk, DIMENSIONS)  # noqa: S311 - filler
    monkeypatch.delattr("search.querying.meaning._compare")  # nobody has to compare all
    assert len(_nearest(cells, scope, asked, most=100)) == 100


def test_only_the_nearest_cells_are_compared(
    cells: IndexGeneration, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The plan of PostgreSQL is an index scan, with filters and without, and no sort of all vectors."""
    monkeypatch.delattr("search.querying.meaning._compare")
    large = cells.workspace.datasets.get(name="large").pk
    asked = QueryVector(_vector(random.Random(5)), cells.pk, DIMENSIONS)  # noqa: S311 - filler
    for scope in (
        SearchScope(cells.workspace_id),
        SearchScope(cells.workspace_id, dataset_ids=(large,)),
    ):
        before = _count_scans(cells)
        assert _nearest(cells, scope, asked)
        assert _count_scans(cells) == before + 1


def _count_scans(generation: IndexGeneration) -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT 1")
        cursor.execute(
            "SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = %s",
            [name_cells(generation.pk)],
        )
        return int(cursor.fetchone()[0])


def _nearest(
    generation: IndexGeneration,
    scope: SearchScope,
    asked: QueryVector,
    *,
    is_exact: bool = False,
    most: int = 10,
) -> list[int]:
    cell_count = 0 if is_exact else generation.cell_count
    IndexGeneration.objects.filter(pk=generation.pk).update(cell_count=cell_count)
    with transaction.atomic():
        return [hit.text_id for hit in list_by_meaning(scope, asked, 100)][:most]


@pytest.mark.parametrize(
    ("in_scope", "in_all", "has_cells", "scan"),
    [
        (900_000, 900_000, True, Scan.CELLS),
        (900_000, 900_000, False, Scan.EXACT),
        (50_000, 60_000, True, Scan.EXACT),
        (50_001, 60_000, True, Scan.CELLS),
        (142_857, 1_000_000, True, Scan.EXACT),
        (142_858, 1_000_000, True, Scan.CELLS),
    ],
)
def test_the_size_of_the_scope_decides_how_it_is_searched(
    in_scope: int, in_all: int, *, has_cells: bool, scan: Scan
) -> None:
    assert choose_scan(in_scope, in_all, has_cells=has_cells) is scan


def test_cells_are_as_small_as_the_memory_allows_and_many_are_looked_into() -> None:
    most = 2 << 30
    found = [count_cells(n, 512, most) for n in (50, 120_000, 900_000, 1_000_000, 9_000_000)]
    assert found == [10, 400, 3_000, 3_094, 3_094]
    assert size_making(3_094, 512) <= most < size_making(3_095, 512)
    assert count_cells(1_000_000, 512, most // 4) == 1_476
    assert count_cells(1_000_000, 4_000, 0) == 10
    assert count_probes(200, 100_000) == 100
    assert count_probes(200, 400_000) == 25  # vectors that came since the cells were made
    assert count_probes(3_000, 1_000_000) == 375
    assert count_probes(10, 800) == 10


def test_how_long_the_model_was_waited_for_is_told_in_short() -> None:
    with pytest.raises(EmbedFailed, match=r"did not answer within 0\.13 s$"):
        _wait_for_builtin(Future(), 1, "", 0.125039)
