"""Publishes what an attempt fetched as the dataset's current version, in one transaction that checks the token."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import psycopg

from datasets.catalog import Catalog
from datasets.fencing import Fenced
from datasets.versions import (
    Published,
    decide_outcome,
    find_replaced,
    mark_published,
    write_version,
)
from farends.names import printable
from search.core.wishes import IndexWish
from search.indexing.marking import note_published
from syncjobs.core.plans import REPLACED_MIN, Held, Waiver, judge_replacement
from syncjobs.engine.progress import Trouble
from syncjobs.works.contract import Claim
from syncjobs.works.following import wake_readers
from syncjobs.works.verified import note_verified

_LEDGER = """
INSERT INTO syncjobs_syncitem (record_id, path, action, size_bytes, sha256, error_code, message)
SELECT %s, path, action, size_bytes, sha256, '', '' FROM outcome
 WHERE action IN ('added', 'changed', 'removed') ORDER BY path
"""

_DECIDED = "DELETE FROM syncjobs_plannedfile WHERE record_id = %s"

_TROUBLES = "COPY syncjobs_syncitem (record_id, path, action, error_code, message) FROM STDIN"

# Counts add up, because a record that published and then lost its worker runs once more.
_COUNTS = """
UPDATE syncjobs_syncrecord SET
    files_added = files_added + %(added)s, files_changed = files_changed + %(changed)s,
    files_removed = files_removed + %(removed)s,
    dataset_version = coalesce(%(number)s, dataset_version, (
        SELECT number FROM datasets_version WHERE dataset_id = %(dataset)s AND is_current))
 WHERE id = %(record)s AND token = %(token)s AND lease_owner = %(owner)s
"""


class GuardStopped(Exception):
    """What was fetched must not be published before a person has looked at it."""

    def __init__(self, held: Held) -> None:
        super().__init__(held.reason)
        self.held = held


def publish(
    session: psycopg.Connection[Any],
    claim: Claim,
    catalog: Catalog,
    *,
    removals: bool,
    troubles: Iterable[Trouble],
    listed: int = 0,
    waiver: Waiver | None = None,
    whole: bool = True,
    permit: Callable[[], None] = lambda: None,
    mark: bool = False,
    verified: bool = False,
    wish: IndexWish = IndexWish.WORDS_AND_MEANING,
) -> Published:
    """`listed` counts the files of the listing; `waiver` is what a person released; `whole`: no file failed.
    `permit` is asked within the transaction, with what would be published known; what it raises ends it.
    `mark` keeps for the session what is published as it is listed (`datasets.versions.iter_published`);
    `verified`: the content of every file was looked at, as far as it could be read. `wish` is the job's for the index of
    a dataset that has none yet.

    Raises Fenced and GuardStopped, and then nothing was written."""
    with session.transaction(), session.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '15min'")
        decide_outcome(cursor, catalog, removals=removals)
        _check_replaced(cursor, listed, waiver)
        permit()
        published = write_version(cursor, catalog, whole=whole)
        if mark:
            mark_published(cursor, catalog)
        cursor.execute(_LEDGER, [claim.record_id])
        if waiver is not None:
            cursor.execute(_DECIDED, [claim.record_id])
        catalog.moved()
        write_troubles(cursor, claim, troubles)
        if published.number is not None:
            wake_readers(cursor, claim.dataset_id)
        catalog.moved()
        # The commit would check a reference for each row, with the record's row locked meanwhile.
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        if published.number is not None:
            note_published(cursor, claim.dataset_id, wish)
        # Last, because the heartbeat passes this row over until the commit.
        cursor.execute(
            _COUNTS,
            {
                "added": published.added,
                "changed": published.changed,
                "removed": published.removed,
                "number": published.number,
                "dataset": claim.dataset_id,
                "record": claim.record_id,
                "token": claim.token,
                "owner": claim.owner,
            },
        )
        if cursor.rowcount != 1:
            raise Fenced("the record was taken back")
    if verified:
        note_verified(session, claim.record_id)
    return published


def _check_replaced(cursor: psycopg.Cursor[Any], listed: int, waiver: Waiver | None) -> None:
    for found in find_replaced(cursor, least=REPLACED_MIN):
        held = judge_replacement(listed, found.what, found.shown, found.files, found.example)
        if held is not None and not (waiver is not None and waiver.covers(held)):
            raise GuardStopped(held)


def write_troubles(cursor: psycopg.Cursor[Any], claim: Claim, troubles: Iterable[Trouble]) -> None:
    """Replaces those of the record's earlier attempts."""
    cursor.execute(
        "DELETE FROM syncjobs_syncitem WHERE record_id = %s AND action IN ('failed', 'skipped', 'deferred')",
        [claim.record_id],
    )
    with cursor.copy(_TROUBLES) as copy:
        for item in troubles:
            message = printable(item.message)
            copy.write_row((claim.record_id, item.path, item.action, item.code, message))
