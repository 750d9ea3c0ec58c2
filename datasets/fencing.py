"""Fencing: a dataset's row holds the highest token that was given to anybody who may change it.

Whoever claims the right to work takes a higher one; each transaction that changes the dataset locks this
row and compares its own token first, so whoever was thought dead can write no more.
"""

from __future__ import annotations

import uuid
from typing import Any

from database.rows import Cursor


class Fenced(Exception):
    """Another claim has a higher token: this attempt may write no more."""


def take_token(cursor: Cursor, dataset_id: uuid.UUID) -> int:
    """A higher token. The dataset's row is locked until the transaction ends."""
    cursor.execute(
        "UPDATE datasets_dataset SET fencing_token = fencing_token + 1 WHERE id = %s"
        " RETURNING fencing_token",
        [dataset_id],
    )
    row: tuple[int] = cursor.fetchone()
    return row[0]


def check_fence(cursor: Cursor, parameters: dict[str, Any]) -> None:
    """Within a transaction: holds the row of the `dataset`, and raises Fenced for an outdated `token`."""
    cursor.execute(
        "SELECT 1 FROM datasets_dataset"
        " WHERE id = %(dataset)s AND fencing_token = %(token)s FOR NO KEY UPDATE",
        parameters,
    )
    if cursor.fetchone() is None:
        raise Fenced("another worker has claimed this record")
