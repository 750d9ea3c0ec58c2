"""What a search finds, and what it says of it: words alone, as vectors have tests of their own."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, Literal
from unicodedata import normalize

import pytest
from django.db import connection
from django.utils import timezone

from datasets.models import Dataset, Entry, Version
from search.core.fusion import Matched
from search.models import IndexState, TextChunk
from search.querying.question import (
    DEEPEST,
    InvalidQuestion,
    NoSuchDataset,
    Question,
    SearchAnswer,
    SearchMode,
)
from search.querying.scope import SearchScope
from search.querying.search import find_datasets, search
from search.querying.words import list_by_words
from tests.rows import make_workspace
from tests.search.filling import fill_dataset
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db
FORMS: tuple[Literal["NFC", "NFD"], ...] = ("NFC", "NFD")

TEXTS = {
    "guide/pool.md": "# Pool\n\nThe connection pool closes idle connections. HeaderMismatch is told.\n",
    "guide/limits.txt": "Set idle_in_transaction_session_timeout to thirty seconds.\nThe page fault rate is low.\n",
    "office/ticket.txt": "Device V-1138 reports a fault of the page. Customer: Hildegard Brandt.\n",
    "office/brief.txt": "Die Häuser an der Straße gehören Frau Müller.\n",
    "office/to-be.txt": "to be or not to be, that is the question\n",
}


@pytest.fixture
def acme() -> Workspace:
    return make_workspace()


@pytest.fixture
def handbook(acme: Workspace) -> Dataset:
    return fill_dataset(acme, "handbook", TEXTS.items())


def ask(workspace: Workspace, q: str, **more: Any) -> SearchAnswer:
    more.setdefault("mode", SearchMode.WORDS)
    return search(workspace, Question(q, **more))


def paths(answer: SearchAnswer) -> list[str]:
    return [hit.path for hit in answer.items]


def marked(answer: SearchAnswer) -> list[str]:
    [hit, *_] = answer.items
    return [hit.snippet[start:end] for start, end in hit.highlights]


def test_a01_a_hit_says_where_it_comes_from(acme: Workspace, handbook: Dataset) -> None:
    record = uuid.uuid4()
    Version.objects.update(record_id=record)
    [hit] = ask(acme, "thirty").items
    assert (hit.dataset, hit.dataset_id) == ("handbook", handbook.pk)
    assert (hit.path, hit.paths, hit.paths_total) == ("guide/limits.txt", ("guide/limits.txt",), 1)
    assert (hit.version, hit.record_id, hit.matched) == (1, record, Matched.WORDS)
    assert hit.sha256 == bytes(Entry.objects.get(path=hit.path).sha256).hex()
    assert hit.size_bytes == len(TEXTS[hit.path].encode())
    assert hit.fetched_at == Version.objects.get().created_at
    assert hit.line == 1
    assert hit.snippet in TEXTS[hit.path]
    assert [hit.snippet[start:end] for start, end in hit.highlights] == ["thirty"]
    assert hit.age_s >= 0


@pytest.mark.parametrize(
    ("q", "first"),
    [
        ("idle_in_transaction_session_timeout", "guide/limits.txt"),
        ("HeaderMismatch", "guide/pool.md"),
        ("headermismatch", "guide/pool.md"),
        ("mismatch", "guide/pool.md"),
        ("V-1138", "office/ticket.txt"),
        ("v1138", "office/ticket.txt"),
        ("Hildegard Brandt", "office/ticket.txt"),
        ('"page fault"', "guide/limits.txt"),
        ("connections", "guide/pool.md"),
        ("connecting pools", "guide/pool.md"),
        ("Straße", "office/brief.txt"),
        ("müller", "office/brief.txt"),
    ],
)
def test_a20_exact_names_are_first(acme: Workspace, handbook: Dataset, q: str, first: str) -> None:
    answer = ask(acme, q)
    assert paths(answer)[0] == first
    assert marked(answer)


def test_a20_a_phrase_is_obeyed_in_each_mode(acme: Workspace, handbook: Dataset) -> None:
    for mode in SearchMode:
        assert set(paths(ask(acme, '"page fault"', mode=mode))) <= {"guide/limits.txt"}
    assert paths(ask(acme, '"fault page"')) == []
    assert paths(ask(acme, '"to be or not to be"')) == ["office/to-be.txt"]
    assert paths(ask(acme, '"page fault" pool')) == ["guide/limits.txt"]


MARKED_TEXTS = {
    "hindi.txt": "यह हिन्दी भाषा की किताब है। सब हिन्दी में लिखा है, गोदाम भी।\n",
    "bengali.txt": "বাংলা ভাষা\n",
    "tamil.txt": "தமிழ் மொழி\n",
    "marathi.txt": "मराठी पुस्तक\n",
    "arabic.txt": "الكِتَابُ مَكْتُوبٌ هنا،\n",
    "persian.txt": "نمی\u200cشود.\n",
}


@pytest.mark.parametrize(
    ("word", "path"),
    [
        *(("हिन्दी", "hindi.txt"), ("भाषा", "hindi.txt"), ("की", "hindi.txt"), ("है", "hindi.txt")),
        *(("किताब", "hindi.txt"), ("गोदाम", "hindi.txt"), ("ভাষা", "bengali.txt"), ("தமிழ்", "tamil.txt")),
        *(("மொழி", "tamil.txt"), ("मराठी", "marathi.txt"), ("पुस्तक", "marathi.txt")),
        *(("الكِتَابُ", "arabic.txt"), ("مَكْتُوبٌ", "arabic.txt"), ("هنا", "arabic.txt")),
        ("نمی\u200cشود", "persian.txt"),
    ],
)  # fmt: skip
def test_a_word_is_found_and_marked_with_its_marks(acme: Workspace, word: str, path: str) -> None:
    fill_dataset(acme, "marked", MARKED_TEXTS.items())
    answer = ask(acme, word)
    assert paths(answer) == [path]
    assert set(marked(answer)) == {word}


def test_a_phrase_is_marked_with_its_marks(acme: Workspace) -> None:
    fill_dataset(acme, "marked", MARKED_TEXTS.items())
    answer = ask(acme, '"हिन्दी में"')
    assert paths(answer) == ["hindi.txt"]
    assert set(marked(answer)) == {"हिन्दी", "में"}
    assert paths(ask(acme, '"हिन्द में"')) == []


FORM_TEXT = (
    "Die Größenordnung der Waschküche im Café. Dort wohnt Señora Ibáñez.\nTiếng Việt, 창고, ドア.\n"
)


@pytest.mark.parametrize("asked_form", ["NFC", "NFD"])
@pytest.mark.parametrize(
    "q",
    ["Größenordnung", "Waschküche", "Café", "ibáñez", '"Señora Ibáñez"', "Tiếng", "창고", "ドア", '"창고"'],
)  # fmt: skip
def test_a_word_is_found_in_whatever_form_its_text_is(
    acme: Workspace, q: str, asked_form: Literal["NFC", "NFD"]
) -> None:
    """macOS and some programs that write PDF have a letter and its accent apart."""
    texts = {f"{form}.txt": normalize(form, FORM_TEXT) for form in FORMS}
    fill_dataset(acme, "forms", texts.items())
    hits = ask(acme, normalize(asked_form, q)).items
    assert {hit.path for hit in hits} == {"NFC.txt", "NFD.txt"}
    for hit in hits:
        assert hit.snippet in texts[hit.path]
        words = [hit.snippet[start:end] for start, end in hit.highlights]
        assert normalize("NFC", " ".join(words)).lower() == q.strip('"').lower()


def test_a_file_is_found_by_a_name_in_whatever_form(acme: Workspace) -> None:
    names = {form: normalize(form, f"{form}/Prüfbericht हिन्दी.txt") for form in FORMS}
    fill_dataset(acme, "names", [(names["NFC"], "one\n"), (names["NFD"], "two\n")])
    for form in FORMS:
        assert set(paths(ask(acme, normalize(form, "prüfbericht")))) == set(names.values())
    assert set(paths(ask(acme, "हिन्दी"))) == set(names.values())


ODD_TEXTS = {
    "catalog.xml": '<catalog><item sku="V-1138"><price currency="EUR">12</price></item></catalog>\n',
    "deploy.yaml": 'image: "registry.example.com/billing:4.17.2"\nreplicas: 3\n',
    "report.sql": "SELECT sum(o.net_amount_cents) FROM orders o;\n",
    "security.md": "Suspicious mail goes to abuse@example.com at once, or +49 30 901820.\n",
    "guests.txt": "Señora Ibáñez lives in Sevilla.\n",
}


@pytest.mark.parametrize(
    ("phrase", "path"),
    [
        ("V-1138", "catalog.xml"),
        ("item sku", "catalog.xml"),
        ("currency EUR", "catalog.xml"),
        ("4.17.2", "deploy.yaml"),
        ("billing:4.17.2", "deploy.yaml"),
        ("example.com/billing", "deploy.yaml"),
        ("image registry.example.com", "deploy.yaml"),
        ("net_amount_cents", "report.sql"),
        ("abuse@example.com", "security.md"),
        ("49 30 901820", "security.md"),
    ],
)
def test_a_phrase_is_found_and_refused_in_whatever_word_it_stands(
    acme: Workspace, phrase: str, path: str
) -> None:
    """PostgreSQL takes an address, a tag or a signed number for one word."""
    fill_dataset(acme, "odd", ODD_TEXTS.items())
    assert paths(ask(acme, f'"{phrase}"')) == [path]
    everything = "registry OR catalog sum suspicious Sevilla"
    assert path in paths(ask(acme, everything))
    assert path not in paths(ask(acme, f'{everything} -"{phrase}"'))
    if " " not in phrase:
        assert path not in paths(ask(acme, f"{everything} -{phrase}"))


def test_what_is_refused_is_so_with_and_without_accents(acme: Workspace) -> None:
    fill_dataset(acme, "odd", ODD_TEXTS.items())
    assert paths(ask(acme, "Sevilla")) == ["guests.txt"]
    assert not paths(ask(acme, "Sevilla -Ibanez"))


def test_a_number_with_dots_and_a_serial_are_no_other_number(acme: Workspace) -> None:
    texts = {
        "big.txt": "4172 and 1138\n",
        "deploy.txt": "version 4.17.2\n",
        "x.txt": "item V-1138\n",
    }
    fill_dataset(acme, "odd", texts.items())
    assert paths(ask(acme, "4.17.2"))[0] == "deploy.txt"
    found = ask(acme, "V-1138")
    assert paths(found)[0] == "x.txt"
    assert all(hit.score < 0.5 for hit in found.items[1:])  # no proof


def test_scattered_digits_are_no_proof_of_a_version(acme: Workspace) -> None:
    texts = {
        "chapters.txt": "version notes: chapter 4, page 12, line 2\n",
        "deploy.txt": "this version is 4.2.12\n",
    }
    fill_dataset(acme, "odd", texts.items())
    found = ask(acme, "version 4.2.12")
    assert [hit.path for hit in found.items if hit.score > 1] == ["deploy.txt"]


AMOUNTS = {
    "phone.txt": "Call +47 69 21 40 07 at night, at -18 degrees.\n",
    "lease.txt": "A deposit of 23'975.00 is due.\n",
    "miete.txt": "Die Kaution ist 1.840,00 EUR.\n",
    "rate.txt": "Der Satz ist 7,3 % seit Mai.\n",
    "meter.txt": "It reads 2 418 900, and 3 960,00 was paid.\n",
    "other.txt": "10,619.59 was paid, and 960,00 too.\n",
}


@pytest.mark.parametrize(
    ("q", "path", "mark"),
    [
        ("+47", "phone.txt", "47"),
        ("18", "phone.txt", "18"),
        ("23975", "lease.txt", "23'975.00"),
        ("23,975", "lease.txt", "23'975.00"),
        ("23975.00", "lease.txt", "23'975.00"),
        ("1840 Euro", "miete.txt", "1.840,00"),
        ("7.3", "rate.txt", "7,3"),
        ("7,3 %", "rate.txt", "7,3"),
        ("2418900", "meter.txt", "2 418 900"),
        ("2,418,900", "meter.txt", "2 418 900"),
        ("3960", "meter.txt", "3 960,00"),
        ("3 960,00", "meter.txt", "3 960,00"),
        ("960.00", "other.txt", "960,00"),
    ],
)
def test_a_number_is_found_and_marked_however_it_is_written(
    acme: Workspace, q: str, path: str, mark: str
) -> None:
    fill_dataset(acme, "amounts", AMOUNTS.items())
    found = ask(acme, q)
    assert paths(found)[0] == path
    assert mark in marked(found)
    assert found.items[0].score > 1 or "Euro" in q
    assert ask(acme, "26,619.59").items == []


def test_what_many_hold_names_none_of_them(acme: Workspace) -> None:
    few = [(f"few-{n}.txt", f"unit {n} told E4107\n") for n in range(3)]
    many = [(f"many-{n}.txt", f"unit {n} told E5520\n") for n in range(12)]
    fill_dataset(acme, "logs", [*few, *many])
    assert all(hit.score > 0.25 for hit in ask(acme, "which heron meant E4107").items)
    assert len(found := ask(acme, "which heron meant E5520").items) == 12
    assert all(hit.score < 0.25 for hit in found)
    assert all(hit.score < 0.25 for hit in ask(acme, "which heron meant unit 2").items)


def test_a_folder_named_in_a_question_proves_nothing_of_its_files(acme: Workspace) -> None:
    files = [(f"pump_7/setup/{n}.txt", f"note {n}\n") for n in range(12)]
    fill_dataset(acme, "lab", [*files, ("pump_7/setup/guide.txt", "see below\n")])
    found = ask(acme, "pump_7 setup guide").items
    assert (found[0].path, found[0].score > 1) == ("pump_7/setup/guide.txt", True)
    assert all(hit.score < 0.25 for hit in found[1:])


def test_a_word_that_was_hyphenated_is_found_in_a_phrase(acme: Workspace) -> None:
    text = "The file has been un\u2010\n       linked or renamed <since>.\n"
    fill_dataset(acme, "man", [("inotify.txt", text)])
    found = ask(acme, '"has been unlinked or renamed since"')
    assert paths(found) == ["inotify.txt"]
    assert marked(found) == ["has", "been", "un", "linked", "or", "renamed", "since"]


def test_a_word_of_the_stem_of_a_part_is_marked(acme: Workspace) -> None:
    fill_dataset(acme, "odd", [("pool.txt", "It counts mismatches of headers.\n")])
    assert marked(ask(acme, "HeaderMismatch")) == ["mismatches", "headers"]


def test_the_chunk_that_says_most_of_it_is_shown_and_not_one_with_its_heading(
    acme: Workspace,
) -> None:
    filler = "Nothing of interest stands in this sentence at all. " * 40
    speaking = "The okapi eats. The okapi sleeps. Okapi and okapi are shy. "
    text = f"# Okapi\n\n{filler}\n\n# Feeding\n\n{speaking}{filler}"
    fill_dataset(acme, "zoo", [("okapi.md", text)])
    assert marked(ask(acme, "okapi")) == ["okapi", "okapi", "Okapi", "okapi"]


def test_a_phrase_across_two_chunks_is_found(acme: Workspace) -> None:
    filler = "Nothing of interest stands in this sentence. " * 18
    text = f"{filler}\n\nThe silver heron\n\nflies home at dusk. {filler}"
    fill_dataset(acme, "long", [("long.txt", text)])
    assert TextChunk.objects.count() > 1
    assert paths(ask(acme, '"silver heron flies home"')) == ["long.txt"]


def test_a_phrase_does_not_run_from_a_text_into_its_heading(acme: Workspace) -> None:
    fill_dataset(acme, "notes", [("a.md", "# Zebra crossing\n\nThe last word is okapi\n")])
    assert paths(ask(acme, '"okapi zebra"')) == []
    assert paths(ask(acme, '"zebra crossing"')) == ["a.md"]


def test_what_a_hit_must_not_hold_counts_for_the_whole_content(acme: Workspace) -> None:
    filler = "Nothing of interest stands in this sentence. " * 40
    texts = [("both.txt", f"apple\n\n{filler}\n\nbanana"), ("apple.txt", "apple alone")]
    fill_dataset(acme, "fruit", texts)
    assert paths(ask(acme, "apple -banana")) == ["apple.txt"]
    assert paths(ask(acme, 'apple -"apple alone"')) == ["both.txt"]


@pytest.mark.parametrize("q", ["the of and", "' | ! & (", '- -- ""', "!!!", "a an"])
def test_a20_without_a_word_nothing_is_found(acme: Workspace, handbook: Dataset, q: str) -> None:
    for mode in SearchMode:
        assert ask(acme, q, mode=mode).items == []


@pytest.mark.parametrize(
    "q",
    [
        "a:* <-> b", "\\", "'", "%s %(workspace)s {scope}", "\x01\x02", "日本語 テスト", "שלום -עולם", "🙂 🙂",
        "x" * 1_000, "a " * 500, '"' * 999, "-" * 1_000, "1 2 3 4.5e6 -7", "http://a.b/c?d=e#f user@example.com",
        "\u202eabc", "''; DROP TABLE search_textchunk; --", "\u017f \ufb01 \u01c5", "a\u0300" * 300,
    ],
)  # fmt: skip
def test_a20_odd_questions_are_answered(acme: Workspace, handbook: Dataset, q: str) -> None:
    for mode in (SearchMode.WORDS, SearchMode.MEANING):
        ask(acme, q, mode=mode)
    assert TextChunk.objects.exists()


@pytest.mark.parametrize("q", ["", " ", "x" * 10_000, "a\0"])
def test_a20_what_cannot_be_asked_is_refused(acme: Workspace, q: str) -> None:
    with pytest.raises(InvalidQuestion) as refused:
        ask(acme, q)
    assert refused.value.field == "q"


def test_what_is_removed_is_invisible_at_once(acme: Workspace, handbook: Dataset) -> None:
    Entry.objects.filter(path="guide/limits.txt").update(until=2)
    for mode in SearchMode:
        assert "guide/limits.txt" not in paths(ask(acme, "thirty", mode=mode))


def test_a_content_is_one_hit_with_its_paths(acme: Workspace) -> None:
    texts = [(f"copies/{n:02}.md", "the quick heron") for n in range(12)]
    fill_dataset(acme, "one", [*texts, ("b.txt", "the quick heron")])
    fill_dataset(acme, "two", [("z.md", "the quick heron")])
    one, two = sorted(ask(acme, "heron").items, key=lambda hit: hit.dataset)
    assert (one.path, one.paths_total, len(one.paths)) == ("b.txt", 13, 10)
    assert list(one.paths) == sorted(one.paths)
    assert (two.dataset, two.path) == ("two", "z.md")
    [only] = ask(acme, "heron", types=(".MD",), dataset_ids=(one.dataset_id,)).items
    assert (only.path, only.paths[0]) == ("copies/00.md", "b.txt")
    [below] = ask(acme, "heron", prefix="copies/07").items
    assert below.path == "copies/07.md"


def test_a_hit_in_a_sheet_says_its_row(acme: Workspace) -> None:
    books = fill_dataset(acme, "books", [("a.xlsx", "a | 1\nb | 2\nneedle | 3\nd | 4\n")])
    TextChunk.objects.filter(dataset=books).update(line=None, place="sheet Orders row 10")
    (hit,) = ask(acme, "needle").items
    assert (hit.line, hit.place) == (None, "sheet Orders row 12")


def test_filters_limit_what_is_found(acme: Workspace, handbook: Dataset) -> None:
    assert paths(ask(acme, "fault", prefix="office/")) == ["office/ticket.txt"]
    assert paths(ask(acme, "fault", types=(".md",))) == []
    assert paths(ask(acme, "pool", types=(".md", ".pdf"))) == ["guide/pool.md"]
    other = fill_dataset(acme, "other", [("x.txt", "a fault")])
    assert paths(ask(acme, "fault", dataset_ids=(other.pk,))) == ["x.txt"]


@pytest.mark.parametrize("few", [0, 10_000])
def test_filters_find_the_same_in_few_files_and_in_many(
    acme: Workspace, handbook: Dataset, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr("search.querying.narrowing.FEW_FILES", few)
    assert paths(ask(acme, "fault", prefix="office/")) == ["office/ticket.txt"]
    assert paths(ask(acme, "fault", types=(".TXT",), prefix="guide/")) == ["guide/limits.txt"]
    assert paths(ask(acme, '"page fault"', prefix="guide/")) == ["guide/limits.txt"]
    assert paths(ask(acme, "fault", prefix="attic/")) == []
    assert paths(ask(acme, "fault -page", prefix="office/")) == []
    assert len(paths(ask(acme, "fault", newer_than_s=3600.0))) == 2


def test_a_word_that_many_hold_is_found_where_the_filter_admits_it(
    acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.querying.words.CANDIDATES_MAX", 5)
    monkeypatch.setattr("search.querying.narrowing.FEW_FILES", 0)
    fill_dataset(acme, "pumps", [(f"{n:02}.txt", f"pump {n}\n") for n in range(12)])
    assert paths(ask(acme, "pump", prefix="11")) == ["11.txt"]


def test_what_is_gone_leaves_no_list_short(
    acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.querying.words.CANDIDATES_MAX", 5)
    fill_dataset(acme, "pumps", [(f"{n:02}.txt", f"pump {n}\n") for n in range(12)])
    Entry.objects.filter(path__lt="10").update(until=2)
    assert sorted(paths(ask(acme, "pump"))) == ["10.txt", "11.txt"]


def test_a_newer_time_alone_does_not_make_a_content_new(acme: Workspace) -> None:
    dataset = fill_dataset(acme, "notes", [("a.txt", "the heron"), ("b.txt", "another heron")])
    first = Version.objects.get()
    Version.objects.filter(pk=first.pk).update(
        is_current=False, created_at=timezone.now() - timedelta(days=3), record_id=uuid.uuid4()
    )
    Version.objects.create(
        dataset=dataset, number=2, file_count=2, size_bytes=2, record_id=uuid.uuid4()
    )
    first.refresh_from_db()
    entry = Entry.objects.get(
        path="a.txt"
    )  # the source told another time, so the entry is a new one
    Entry.objects.filter(pk=entry.pk).update(until=2)
    entry.pk, entry.since = None, 2
    entry.save()
    assert paths(ask(acme, "heron", newer_than_s=86_400.0)) == []
    found = {hit.path: hit for hit in ask(acme, "heron").items}
    assert found["a.txt"].record_id == found["b.txt"].record_id == first.record_id
    assert {hit.version for hit in found.values()} == {2}
    assert set(paths(ask(acme, "heron", newer_than_s=4 * 86_400.0))) == {"a.txt", "b.txt"}


@pytest.mark.parametrize("limit", [20, 50, 60, 100])
def test_pages_lead_to_all_that_is_found(acme: Workspace, limit: int) -> None:
    fill_dataset(acme, "many", [(f"{n}.txt", f"walrus number {n}\n") for n in range(230)])
    found: list[str] = []
    cursor = None
    while True:
        page = ask(acme, "walrus", limit=limit, cursor=cursor)
        found += paths(page)
        if (cursor := page.next) is None:
            break
    assert len(found) == len(set(found)) == 230


def test_pages_go_a_thousand_deep_and_show_each_once(acme: Workspace) -> None:
    texts = [(f"{n:04}.txt", f"heron number {n}") for n in range(1_040)]
    fill_dataset(acme, "many", texts)
    found: list[str] = []
    scores: list[float] = []
    cursor = None
    while True:
        answer = ask(acme, "heron", limit=97, cursor=cursor)
        found += paths(answer)
        scores += [hit.score for hit in answer.items]
        cursor = answer.next
        if cursor is None:
            break
    assert len(found) == len(set(found)) == 1_000
    assert scores == sorted(scores, reverse=True)


def test_where_the_list_to_the_depth_is_late_the_pages_do_not_end(
    acme: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill_dataset(acme, "many", [(f"{n}.txt", f"walrus number {n}\n") for n in range(150)])

    def wait_where_it_is_deep(*args: Any, limit: int) -> Any:
        if limit == DEEPEST:
            connection.cursor().execute("SELECT pg_sleep(60)")
        return list_by_words(*args, limit=limit)

    first = ask(acme, "walrus", limit=100)
    with monkeypatch.context() as slow:
        slow.setattr("search.querying.search.list_by_words", wait_where_it_is_deep)
        second = ask(acme, "walrus", limit=100, cursor=first.next)
        assert [(each.list, each.code) for each in second.degraded] == [("words", "late")]
        assert (len(second.items), second.next) == (1, "101")
        stuck = ask(acme, "walrus", limit=100, cursor=second.next)
        assert (stuck.items, stuck.next) == ([], None)  # nobody follows it for ever
    rest = ask(acme, "walrus", limit=100, cursor=second.next)
    found = [*paths(first), *paths(second), *paths(rest)]
    assert len(found) == len(set(found)) == 150
    assert rest.next is None


@pytest.mark.parametrize("cursor", ["x", "", "0", "-1", "1000", "2\n", "\u0663"])
def test_a_cursor_that_no_page_gave_is_refused(acme: Workspace, cursor: str) -> None:
    with pytest.raises(InvalidQuestion) as refused:
        ask(acme, "heron", cursor=cursor)
    assert refused.value.field == "cursor"


def test_a18_no_statement_on_contents_is_written_without_the_workspace(
    acme: Workspace, handbook: Dataset
) -> None:
    """Whatever a question asks for: each statement that reads chunks, contents or vectors names the workspace."""
    lab = make_workspace("lab")
    theirs = fill_dataset(lab, "handbook", TEXTS.items())
    questions: list[dict[str, Any]] = [
        {},
        {"dataset_ids": (theirs.pk,)},
        {"prefix": "guide/"},
        {"types": (".txt",)},
        {"newer_than_s": 60.0},
        {"with_facets": True},
        {"limit": 1},
        {"q": 'thirty "page fault"'},
        {"q": "thirty -heron"},
    ]
    for mode in SearchMode:
        for more in questions:
            asked = {"q": "thirty", "mode": mode, **more}
            for hit in ask(acme, **asked).items:
                assert hit.dataset_id == handbook.pk, asked
            if "dataset_ids" in more:
                assert ask(acme, **asked).items == []


def test_a18_a_scope_cannot_be_made_without_a_workspace() -> None:
    with pytest.raises(TypeError):
        SearchScope()  # type: ignore[call-arg]  # that is the point
    scope = SearchScope(uuid.uuid4())
    for condition in (scope.limit_rows("a"), scope.limit_texts("a"), scope.limit_chunks("a")):
        assert "a.workspace_id = %(workspace)s" in condition


def test_a18_a_dataset_of_another_workspace_is_not_there(acme: Workspace) -> None:
    theirs = fill_dataset(make_workspace("lab"), "secret", [("a.txt", "heron")])
    for called in ("secret", str(theirs.pk), str(uuid.uuid4()), "nothing", "\0"):
        with pytest.raises(NoSuchDataset):
            find_datasets(acme, [called])


def test_without_vectors_the_answer_says_so(acme: Workspace, handbook: Dataset) -> None:
    answer = ask(acme, "thirty", mode=SearchMode.MEANING)
    assert answer.items == []
    assert [(each.list, each.code) for each in answer.degraded] == [("meaning", "no_vectors")]
    both = ask(acme, "thirty", mode=SearchMode.BOTH)
    assert (both.items[0].path, both.items[0].matched) == ("guide/limits.txt", Matched.WORDS)
    assert ask(acme, "thirty").degraded == []


def test_a_list_that_is_late_is_left_out_and_named(
    acme: Workspace, handbook: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("search.querying.search.WITHIN_S", 0.0)
    answer = ask(acme, "thirty")
    assert answer.items == []
    assert [(each.list, each.code) for each in answer.degraded] == [("words", "late")]
    with connection.cursor() as cursor:
        cursor.execute("SHOW statement_timeout")
        assert cursor.fetchone() != ("1ms",)


def test_the_state_is_the_worst_of_the_datasets_in_scope(
    acme: Workspace, handbook: Dataset
) -> None:
    other = fill_dataset(acme, "other", [("x.txt", "heron")])
    assert ask(acme, "heron").index.state is IndexState.CURRENT
    since = timezone.now() - timedelta(seconds=90)
    other.search_index.state = IndexState.CATCHING_UP
    other.search_index.pending_chunks, other.search_index.since = 3, since
    other.search_index.reason = "embed_unreachable: nobody listens"
    other.search_index.save()
    index = ask(acme, "heron").index
    assert (index.state, index.pending_chunks) == (IndexState.CATCHING_UP, 3)
    assert index.oldest_pending_s is not None
    assert index.oldest_pending_s >= 90
    [behind] = index.behind
    assert (behind.dataset, behind.current_version, behind.since) == ("other", 1, since)
    assert index.reason == behind.reason == "embed_unreachable: nobody listens"
    assert ask(acme, "heron", dataset_ids=(handbook.pk,)).index.behind == ()


def test_facets_count_what_was_found(acme: Workspace, handbook: Dataset) -> None:
    facets = ask(acme, "fault pool", with_facets=True).facets
    assert [(each.value, each.count) for each in facets["dataset"]] == [("handbook", 3)]
    assert [(each.value, each.count) for each in facets["type"]] == [(".txt", 2), (".md", 1)]
    assert facets["age"][0].value == "day"


SPACELESS = {
    "zh.txt": "本平台每小时同步所有远程文件、并保存其版本。\n",
    "ja.txt": "接続の設定を変更すると、次の同期から有効になります。\n",
    "ko.txt": "원격서버에서 파일을 동기화합니다.\n",
    "th.txt": "ระบบจะซิงค์ไฟล์ทุกชั่วโมงและเก็บทุกรุ่นไว้\n",
    "en.txt": "The platform syncs all remote files each hour.\n",
}


@pytest.mark.parametrize(
    ("q", "path", "marked"),
    [
        ("远程文件", "zh.txt", ["远程文件"]),
        ("文件版本", "zh.txt", ["文件", "版本"]),
        ("水 版", "zh.txt", ["版"]),
        ('"同步所有"', "zh.txt", ["同步所有"]),
        ("設定", "ja.txt", ["設定"]),
        ("同期の設定", "ja.txt", ["の設定", "同期"]),
        ("서버", "ko.txt", ["서버"]),
        ("ชั่วโมง", "th.txt", ["ชั่วโมง"]),
    ],
)
def test_words_within_a_run_without_spaces_are_found(
    acme: Workspace, q: str, path: str, marked: list[str]
) -> None:
    fill_dataset(acme, "foreign", SPACELESS.items())
    hit = ask(acme, q).items[0]
    assert hit.path == path
    assert [hit.snippet[start:end] for start, end in hit.highlights] == marked


def test_a_run_without_spaces_is_refused_and_demanded_as_it_stands(acme: Workspace) -> None:
    fill_dataset(acme, "foreign", SPACELESS.items())
    assert [hit.path for hit in ask(acme, "同 -远程文件").items] == ["ja.txt"]
    assert ask(acme, '"文件同步"').items == []


BILLS = {
    "bills/2024/march/Invoice_Nord.txt": "An amount is due within thirty days.\n",
    "bills/2024/april/Invoice_Sued.txt": "Another amount is due within ten days.\n",
    "bills/2023/march/letter.txt": "The invoice of the year before was paid in march.\n",
    "notes/deliveries.txt": "Goods that come late are told to the office.\n",
}


@pytest.mark.parametrize(
    ("q", "path"),
    [
        ("invoice 2024 march", "bills/2024/march/Invoice_Nord.txt"),
        ("invoices sued", "bills/2024/april/Invoice_Sued.txt"),
        ("Invoice_Nord", "bills/2024/march/Invoice_Nord.txt"),
        ("invoice nord amount", "bills/2024/march/Invoice_Nord.txt"),
        ("delivery", "notes/deliveries.txt"),
    ],
)
def test_words_that_stand_in_the_path_alone_are_found(acme: Workspace, q: str, path: str) -> None:
    fill_dataset(acme, "bills", BILLS.items())
    hit = ask(acme, q).items[0]
    assert (hit.path, hit.matched, hit.line) == (path, Matched.WORDS, 1)
    assert hit.snippet == BILLS[path].strip()


def test_what_a_text_says_stands_before_what_a_path_says(acme: Workspace) -> None:
    fill_dataset(acme, "bills", BILLS.items())
    paths = [hit.path for hit in ask(acme, "invoice march").items]
    assert paths[:2] == ["bills/2023/march/letter.txt", "bills/2024/march/Invoice_Nord.txt"]


def test_only_a_path_that_the_question_admits_is_looked_at(acme: Workspace) -> None:
    text = "The same text lies twice.\n"
    bills = fill_dataset(acme, "bills", {"old/invoice.txt": text, "new/plain.txt": text}.items())
    [hit] = ask(acme, "invoice").items
    assert hit.paths == ("new/plain.txt", "old/invoice.txt")
    assert ask(acme, "invoice", prefix="new/").items == []
    assert len(ask(acme, "invoice", prefix="old/").items) == 1
    assert ask(make_workspace("globex"), "invoice").items == []
    Entry.objects.filter(dataset=bills, path="old/invoice.txt").update(until=2)
    assert ask(acme, "invoice").items == []
