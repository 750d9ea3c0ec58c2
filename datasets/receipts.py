"""Receipts: files that are durable blobs now, and not yet published. Written under the fencing token."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from datasets.catalog import Connection, Listed
from datasets.fencing import check_fence


@dataclass(frozen=True, slots=True)
class Arrived:
    """A wanted file that is a durable blob now."""

    listed: Listed
    size_bytes: int
    modified_ns: int | None
    etag: str | None
    sha256: bytes
    settled: bool
    content_type: str | None = None
    landed: str | None = None
    source: str | None = None  # what the far end calls it, where that is no path


class Receipts:
    """One attempt's receipts, over a session of their own: they are written while the catalog is read."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        dataset_id: uuid.UUID,
        record_id: uuid.UUID,
        token: int,
    ) -> None:
        self._connect = connect
        self._parameters = {"dataset": dataset_id, "record": record_id, "token": token}

    def settle(self, arrived: Sequence[Arrived]) -> None:
        """Keeps receipts of fetched files. Raises Fenced."""
        if not arrived:
            return
        rows = [
            (
                item.listed.path,
                item.listed.size_bytes,
                item.listed.modified_ns,
                item.listed.etag,
                item.size_bytes,
                item.modified_ns,
                item.etag,
                item.sha256,
                item.settled,
                item.content_type,
                item.landed,
                item.source,
            )
            for item in arrived
        ]
        columns = [_column(values) for values in zip(*rows, strict=True)]
        session = self._connect()
        with session.transaction(), session.cursor() as cursor:
            check_fence(cursor, self._parameters)
            cursor.execute(
                _KEEP, [self._parameters["dataset"], self._parameters["record"], *columns]
            )


def _column(values: tuple[Any, ...]) -> list[Any] | None:
    """Returns None if no row has a value: `unnest` fills it up, and a long array costs time."""
    return list(values) if any(value is not None for value in values) else None


_KEEP = """
INSERT INTO datasets_receipt (dataset_id, record_id, path, listed_size_bytes, listed_modified_ns,
    listed_etag, size_bytes, modified_ns, etag, sha256, settled, content_type, landed, source)
SELECT %s, %s, t.* FROM unnest(%b::text[], %b::bigint[], %b::bigint[], %b::text[], %b::bigint[],
    %b::bigint[], %b::text[], %b::bytea[], %b::bool[], %b::text[], %b::text[], %b::text[]) t
ON CONFLICT (dataset_id, path) DO UPDATE SET
    record_id = excluded.record_id, listed_size_bytes = excluded.listed_size_bytes,
    listed_modified_ns = excluded.listed_modified_ns, listed_etag = excluded.listed_etag,
    size_bytes = excluded.size_bytes, modified_ns = excluded.modified_ns, etag = excluded.etag,
    sha256 = excluded.sha256, settled = excluded.settled, content_type = excluded.content_type,
    landed = excluded.landed, source = excluded.source
"""
