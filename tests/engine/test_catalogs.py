"""The catalog of dictionaries answers as the one of PostgreSQL does, whatever is held, listed and fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from database.sessions import open_session
from datasets.catalog import Catalog, Listed, Pair, ToldDigest, Trust
from datasets.models import Dataset as StoredDataset
from datasets.models import Entry, Receipt
from datasets.receipts import Arrived
from syncjobs.core.comparing import Comparison, decide_equal
from syncjobs.engine.arriving import Catalog as AnyCatalog
from syncjobs.engine.source import fingerprint_of
from tests.engine.dictionary import Dataset, DictionaryCatalog, DictionaryReceipts, Held
from tests.rows import make_workspace

pytestmark = pytest.mark.django_db(transaction=True)

RECORD, EARLIER = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
PRECISION_NS = 10**9
NAMES = ("a", "b", "c", "ü", "a/b", "a/c", "a/b/c", "b/a", "b/a/d", "c/d/e", "marker", "b0", "a-")


@dataclass(frozen=True)
class Case:
    """`told` are digests of files by path; `fetched` have come by this record."""

    held: list[Held]
    listed: list[Listed]
    receipts: list[tuple[str, Arrived]]
    comparison: Comparison
    trust: Trust
    full: bool
    removals: bool
    elsewhere: list[str]
    not_there: list[str]


digests = st.sampled_from([hashlib.sha256(bytes([n])).digest() for n in range(3)])
sizes = st.sampled_from([0, 1, 2])
times = st.sampled_from([None, 1_700_000_000 * 10**9, 1_700_000_000 * 10**9 + 1, 5 * 10**9])
etags = st.sampled_from([None, '"x"', '"y"'])
paths = st.sampled_from(NAMES)
held_files = st.builds(Held, paths, sizes, times, etags, digests, st.booleans())
listed_files = st.builds(
    Listed,
    paths,
    st.none() | sizes,
    times,
    etags,
    deferred=st.booleans(),
    marker=st.integers(0, 9).map(lambda n: n == 0),
    needs=st.none() | paths,
)


@st.composite
def arrivals(draw: st.DrawFn, listed: list[Listed]) -> list[tuple[str, Arrived]]:
    """Receipts of what is listed, or was listed otherwise."""
    found: dict[str, tuple[str, Arrived]] = {}
    for file in listed:
        if file.marker or not draw(st.booleans()):
            continue
        as_listed = draw(st.booleans())
        told = file if as_listed else Listed(file.path, draw(sizes), draw(times), draw(etags))
        plain = Listed(told.path, told.size_bytes, told.modified_ns, told.etag)
        size = draw(sizes)
        arrived = Arrived(
            plain, size, told.modified_ns, told.etag, draw(digests), draw(st.booleans())
        )
        found[file.path] = (draw(st.sampled_from([RECORD, EARLIER])), arrived)
    return list(found.values())


@st.composite
def cases(draw: st.DrawFn) -> Case:
    listed = draw(st.lists(listed_files, unique_by=lambda file: file.path))
    return Case(
        draw(st.lists(held_files, unique_by=lambda file: file.path)),
        listed,
        draw(arrivals(listed)),
        draw(st.sampled_from(Comparison)),
        draw(st.builds(Trust, st.booleans(), st.booleans(), st.booleans())),
        draw(st.booleans()),
        draw(st.booleans()),
        draw(st.lists(paths, unique=True, max_size=2)),
        draw(st.lists(paths, unique=True, max_size=2)),
    )


def told_of(path: str) -> bytes | None:
    return {0: None, 1: hashlib.sha256(b"\1").digest()}.get(sum(path.encode()) % 3, bytes(32))


def ask(catalog: AnyCatalog, case: Case) -> dict[str, Any]:
    """Everything that the engine asks, in its order."""
    answers: dict[str, Any] = {}
    catalog.stage(case.listed[: len(case.listed) // 2])
    catalog.stage(case.listed[len(case.listed) // 2 :])
    answers["unmarked"] = sorted(catalog.defer_unmarked())

    def is_equal(pair: Pair) -> bool | None:
        return decide_equal(
            case.comparison,
            fingerprint_of(pair.listed),
            fingerprint_of(pair.held),
            PRECISION_NS,
            settled=pair.settled,
        )

    catalog.compare(is_equal)
    answers["asked"] = list(catalog.iter_asked())
    told = [ToldDigest(file.path, told_of(file.path), settled=True) for file in answers["asked"]]
    if told:
        catalog.take_told(told)
    answers["kept"] = sorted(catalog.keep(case.elsewhere))
    answers["conflicts"] = list(catalog.defer_conflicts(removals=case.removals))
    answers["gone"] = {folder: catalog.count_gone_from(folder) for folder in ("", "a", "b", "b/a")}
    answers["wanted"] = list(catalog.iter_wanted())
    answers["counts"] = catalog.count()
    answers["beside"] = sorted(catalog.keep_beside(case.not_there))
    answers["counts afterwards"] = catalog.count()
    return answers


def ask_dictionary(case: Case) -> dict[str, Any]:
    dataset = Dataset({file.path: file for file in case.held})
    for record, arrived in case.receipts:
        DictionaryReceipts(dataset, record).settle([arrived])
    return ask(DictionaryCatalog(dataset, RECORD, full=case.full, trust=case.trust), case)


@pytest.fixture
def ask_postgresql() -> Iterator[Callable[[Case], dict[str, Any]]]:
    dataset = StoredDataset.objects.create(workspace=make_workspace(), name="held")
    session = open_session(statement_timeout_s=60, name="test")

    def asked(case: Case) -> dict[str, Any]:
        Entry.objects.filter(dataset=dataset).delete()
        Receipt.objects.filter(dataset=dataset).delete()
        Entry.objects.bulk_create(
            Entry(
                dataset=dataset,
                path=file.path,
                size_bytes=file.size_bytes,
                modified_ns=file.modified_ns,
                etag=file.etag,
                sha256=file.sha256,
                settled=file.settled,
                since=1,
            )
            for file in case.held
        )
        Receipt.objects.bulk_create(
            Receipt(
                dataset=dataset,
                record_id=record,
                path=item.listed.path,
                listed_size_bytes=item.listed.size_bytes,
                listed_modified_ns=item.listed.modified_ns,
                listed_etag=item.listed.etag,
                size_bytes=item.size_bytes,
                modified_ns=item.modified_ns,
                etag=item.etag,
                sha256=item.sha256,
                settled=item.settled,
            )
            for record, item in case.receipts
        )
        catalog = Catalog(
            session,
            dataset_id=dataset.pk,
            record_id=UUID(RECORD),
            token=0,
            full=case.full,
            trust=case.trust,
        )
        return ask(catalog, case)

    yield asked
    session.close()


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(cases())
def test_both_catalogs_answer_the_same(
    ask_postgresql: Callable[[Case], dict[str, Any]], case: Case
) -> None:
    assert ask_dictionary(case) == ask_postgresql(case)
