"""A word finds what is written almost like it, and never at the cost of what is written as it is."""

from __future__ import annotations

import pytest
from django.db import connection

from search.core.fusion import Matched
from search.core.lexemes import split_compounds
from search.core.spelling import count_slips, fold_word, is_same_word, iter_spelled, rank_alike
from search.indexing import known_words
from search.indexing.known_words import WordCollector, keep_words
from search.models import KnownWord
from search.querying.question import Hit, Question, SearchMode
from search.querying.search import search
from tests.rows import make_workspace
from tests.search.filling import fill_dataset
from tests.search.indexes import index, make_dataset, publish
from workspaces.models import Workspace

TEXTS = {
    "boiler.txt": "La señora Ibáñez guarda la llave de paso de la caldera.",
    "laundry.txt": "Den Schlüssel zur Waschküche hat Frau Mürrle, Straße 4.",
    "calibration.md": "The calibration of each transmitter is due in a year.",
    "insolvency.txt": "Notice of insolvency proceedings. Creditors file their claims.",
    "ledger.md": "`ReversibleLedgerWriter` is the only one that books.",
    "poet.txt": "A poet wrote about the harbour.",
    "prices.csv": "article;price\nKT-77/A-12;1.284,50\n",
    "audit.txt": "“The four-eyes principle is practised by one pair of eyes,” she writes of 3\u202f417.50.",
    "manual.txt": "It can be rather expen\u2010\n       sive to test often.",
}


@pytest.fixture
def acme() -> Workspace:
    workspace = make_workspace("acme")
    fill_dataset(workspace, "papers", TEXTS.items())
    return workspace


def ask(workspace: Workspace, q: str) -> list[Hit]:
    return list(search(workspace, Question(q, mode=SearchMode.WORDS)).items)


def paths(workspace: Workspace, q: str) -> list[str]:
    return [hit.path for hit in ask(workspace, q)]


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("senora", "señora", True),
        ("muerrle", "mürrle", True),
        ("murrle", "mürrle", True),
        ("strasse", "straße", True),
        ("yildirim", "y\u0131ld\u0131r\u0131m", True),
        ("poet", "pot", False),
        ("senora", "senior", False),
    ],
)
def test_accents_make_no_other_word(one: str, other: str, is_same: bool) -> None:
    assert is_same_word(one, other) is is_same
    assert not is_same or fold_word(one) == fold_word(other)


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [
        ("calibration", "calibration", 0),
        ("calbration", "calibration", 1),
        ("callibration", "calibration", 1),
        ("calibrasion", "calibration", 1),
        ("claibration", "calibration", 1),
        ("claibrasion", "calibration", 2),
        ("abc", "xyz", 3),
        ("calibration", "cat", 3),
    ],
)
def test_slips_are_counted(one: str, other: str, slips: int) -> None:
    assert count_slips(one, other, 2) == slips


def test_a_short_word_has_one_slip_at_most() -> None:
    assert rank_alike("tiemr", {"timer", "tiers", "time", "tiemr"}) == {"timer": 1}
    assert rank_alike("ransomwear", {"ransomware", "ransom"}) == {"ransomware": 2}


def test_words_of_letters_are_collected_once() -> None:
    collector = WordCollector()
    collector.read("The pump V-1138, the PUMP, HeaderMismatch and 設定設定設定")
    assert collector.take() == {"pump", "headermismatch", "header", "mismatch"}
    collector.read("the pump again")
    assert collector.take() == {"again"}
    assert list(iter_spelled("x" * 41 + " Straße 12 abc")) == ["straße"]
    assert list(iter_spelled("हिन्दी 12 كِتَ की")) == ["हिन्दी"]


@pytest.mark.parametrize("most", [100_000, 2])
def test_words_that_were_read_before_give_the_same_compounds(
    most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [
        "os.path.join(HeaderMismatch, V-1138) idle_in_transaction and timeout",
        "3\u202f417.50 and 26,619.59; 1'000, 12,50. non\u2011breaking \u3000 設定ファイル,設定ファイル",
        "x" * 300 + "-" + "y" * 20 + " " + "A1" * 200,
        "Straßen-Bahn\x85naïve\xa0well-known \u2028 foo_bar",
        "",
    ]
    monkeypatch.setattr(known_words, "PLAIN_MAX", most)
    monkeypatch.setattr(known_words, "COMPOUNDS_MAX", most)
    collector = WordCollector()
    for text in texts * 3:
        assert collector.read(text) == split_compounds(text)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("senora Ibanez", "boiler.txt"),
        ("Frau Muerrle", "laundry.txt"),
        ("Waschkueche", "laundry.txt"),
        ("waschkuche", "laundry.txt"),
        ("Strasse", "laundry.txt"),
        ("calibraton", "calibration.md"),
        ("insolvancy procedings", "insolvency.txt"),
        ("ReversableLedgerWriter", "ledger.md"),
        ("1284.50", "prices.csv"),
        ("1,284.50", "prices.csv"),
        ("3,417.50", "audit.txt"),
        ("“The four-eyes principle is practised by one pair of eyes”", "audit.txt"),
        ('"by one pair of eyes"', "audit.txt"),
        ("expensive", "manual.txt"),
    ],
)
def test_what_is_written_almost_so_is_found(acme: Workspace, q: str, first: str) -> None:
    [hit, *_] = ask(acme, q)
    assert (hit.path, hit.matched) == (first, Matched.WORDS)


@pytest.mark.django_db
def test_a_word_that_stands_somewhere_is_no_slip(acme: Workspace) -> None:
    fill_dataset(acme, "more", [("typo.txt", "They wrote calibraton here.")])
    assert paths(acme, "calibraton") == ["typo.txt"]
    assert paths(acme, "pot") == []


@pytest.mark.django_db
def test_the_word_as_it_stands_is_first_where_another_has_accents(acme: Workspace) -> None:
    fill_dataset(acme, "more", [("plain.txt", "senora without a tilde")])
    assert paths(acme, "senora") == ["plain.txt", "boiler.txt"]
    assert paths(acme, "señora") == ["boiler.txt", "plain.txt"]


@pytest.mark.django_db
def test_a_slip_is_marked_where_it_was_meant(acme: Workspace) -> None:
    [hit] = ask(acme, "calibraton")
    assert [hit.snippet[start:end] for start, end in hit.highlights] == ["calibration"]


@pytest.mark.django_db
def test_words_of_another_workspace_are_not_known(acme: Workspace) -> None:
    other = make_workspace("other")
    fill_dataset(other, "papers", [("a.txt", "The harbour is frozen.")])
    assert paths(other, "calibraton") == []
    assert paths(other, "Waschkueche") == []


@pytest.mark.django_db
def test_a_question_in_another_language_is_not_full_of_slips(acme: Workspace) -> None:
    fill_dataset(
        acme, "more", [("caches.txt", "Programs have caches."), ("paler.txt", "a paler moon")]
    )
    assert paths(acme, "Wer bezahlt die Reparatur des Daches") == []


@pytest.mark.django_db(transaction=True)
def test_the_stage_keeps_the_words_of_what_it_indexes() -> None:
    dataset = make_dataset()
    publish(dataset, {"a.txt": "Señora, the pump of HeaderMismatch".encode(), "b.txt": b"the pump"})
    index(dataset)
    words = KnownWord.objects.filter(workspace=dataset.workspace).values_list("folded", "word")
    assert set(words) == {
        ("senora", "señora"),
        ("pump", "pump"),
        ("headermismatch", "headermismatch"),
        ("header", "header"),
        ("mismatch", "mismatch"),
    }
    publish(dataset, {"a.txt": b"the pump and more"})
    index(dataset)
    assert KnownWord.objects.filter(word="more").count() == 1


@pytest.mark.django_db
def test_a_common_part_of_a_serial_does_not_crowd_it_out(
    acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    common = [(f"note-{n:02}.txt", f"Note {n} will be read.") for n in range(30)]
    fill_dataset(acme, "notes", [*common, ("order.txt", "Order BE-881084 for torque.")])
    monkeypatch.setattr("search.querying.words.CANDIDATES_MAX", 20)
    monkeypatch.setattr("search.querying.words.ADMITTED_MAX", 10)
    monkeypatch.setattr("search.querying.words.GATE_ROWS", 15)
    assert paths(acme, "BE-881084")[0] == "order.txt"


@pytest.mark.django_db
def test_words_are_kept_with_their_keys() -> None:
    """One of them has spaces in its key."""
    workspace = make_workspace("words")
    words = {"straße", "ab\ufdfaab", "pump"}
    with connection.cursor() as cursor:
        keep_words(cursor, workspace.pk, [*words, "pump"])
    found = KnownWord.objects.filter(workspace=workspace).values_list("word", "folded")
    assert dict(found) == {word: fold_word(word) for word in words}
