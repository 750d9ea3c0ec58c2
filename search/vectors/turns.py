"""The turn of a workspace: one round at a time makes its vectors, so that no text is embedded by two at once."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

TURN_S = 20.0
RENEW_S = 5.0

_TAKE = """
INSERT INTO search_embeddingstate AS s (workspace_id, failures, code, detail, needs_person, turn, turn_until)
VALUES (%(workspace)s, 0, '', '', false, %(turn)s, now() + make_interval(secs => %(turn_s)s))
ON CONFLICT (workspace_id) DO UPDATE SET turn = excluded.turn, turn_until = excluded.turn_until
 WHERE s.turn IS NULL OR s.turn_until < now()
RETURNING turn
"""
_RENEW = """
UPDATE search_embeddingstate SET turn_until = now() + make_interval(secs => %s)
 WHERE workspace_id = %s AND turn = %s
"""
_LEAVE = """
UPDATE search_embeddingstate SET turn = NULL, turn_until = NULL WHERE workspace_id = %s AND turn = %s
"""


class TurnOver(Exception):
    """Another round makes the workspace's vectors now."""


@dataclass(slots=True)
class Turn:
    workspace_id: uuid.UUID
    id: uuid.UUID
    renewed_at: float = field(default_factory=time.monotonic)

    def renew_when_due(self) -> None:
        """Call it often. Raises TurnOver."""
        if time.monotonic() - self.renewed_at < RENEW_S:
            return
        with connection.cursor() as cursor:
            cursor.execute(_RENEW, [TURN_S, self.workspace_id, self.id])
            if cursor.rowcount == 0:
                raise TurnOver
        self.renewed_at = time.monotonic()

    def leave(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(_LEAVE, [self.workspace_id, self.id])


def begin_turn(workspace_id: uuid.UUID) -> Turn | None:
    """None where another round has it."""
    turn = uuid.uuid4()
    told: dict[str, Any] = {"workspace": workspace_id, "turn": turn, "turn_s": TURN_S}
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, told)
        return Turn(workspace_id, turn) if cursor.fetchone() else None
