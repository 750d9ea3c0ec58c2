"""What far ends say of the tables that jobs of rows name, before such a job is saved.

They are asked outside of transactions, and a far end that is away keeps nobody from saving: a record tells then.
Whoever saves jobs tries once, and what was not heard yet is asked; then it tries again with the answers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog

from connectors.models import Connector
from connectors.offers import OffersNoRows, describe_offers
from datasets.models import Table
from farends.errors import TransportError
from farends.registry import UnknownKind
from farends.rows.contract import Entity, EntityKind
from farends.spec import ROWS
from syncjobs.configuration.destinations import find_target
from syncjobs.models import SyncJob, SyncMode
from syncjobs.order.row_entities import read_table
from syncjobs.order.structures import Place, guess
from workspaces.places import CALLS_MAX, CALLS_OF_WORKSPACE, NoPlace, calls

log = structlog.get_logger(__name__)

_NAMES = (EntityKind.TABLE, EntityKind.VIEW)  # of which the source knows all columns beforehand
_NO_KEY = "{} has no primary key: name the columns that tell its rows apart, or take it with sync_mode: full"


@dataclass(frozen=True, slots=True)
class _Question:
    connector: Connector
    entity: str | Mapping[str, Any]

    @property
    def far_end(self) -> str:
        """The same for each try to save, though a new connector has another id in each."""
        return f"{self.connector.name} {self.connector.endpoint} {self.connector.options}"

    @property
    def name(self) -> str:
        return f"{self.far_end} {json.dumps(self.entity, sort_keys=True)}"


@dataclass(slots=True)
class SourceAnswers:
    """What was heard so far, and what is still to be asked."""

    _heard: dict[str, Entity | None] = field(default_factory=dict)
    _open: dict[str, _Question] = field(default_factory=dict)

    @property
    def are_missing(self) -> bool:
        return bool(self._open)

    def hear(self, connector: Connector, entity: str | Mapping[str, Any]) -> Entity | None:
        """What the far end says of the entity; None where it has none or did not answer, and where it was not asked
        yet, which it then will be."""
        question = _Question(connector, entity)
        if question.name not in self._heard:
            self._open[question.name] = question
        return self._heard.get(question.name)

    def ask(self) -> None:
        """Asks what is missing: each far end once, for a time."""
        by_far_end: dict[str, list[_Question]] = {}
        for question in self._open.values():
            by_far_end.setdefault(question.far_end, []).append(question)
        for questions in by_far_end.values():
            self._heard |= dict.fromkeys((question.name for question in questions), None)
            self._heard |= _ask(questions)
        self._open.clear()


def _ask(questions: list[_Question]) -> dict[str, Entity | None]:
    connector = questions[0].connector
    try:
        with calls.held(CALLS_MAX, {str(connector.workspace_id): CALLS_OF_WORKSPACE}):
            found = describe_offers(connector, [question.entity for question in questions])
    except (TransportError, OffersNoRows, UnknownKind, NoPlace) as exc:
        log.info("job.source_not_asked", connector=connector.name, reason=str(exc))
        return {}
    return {question.name: entity for question, entity in zip(questions, found, strict=True)}


def find_source_problems(job: SyncJob, answers: SourceAnswers) -> dict[Place, str]:
    """What its far ends say against a job, each with the place and words."""
    if job.far_end != ROWS or job.entity is None:
        return {}
    found: dict[Place, str] = {}
    # What a dataset's files offer is told by a record: they may still be to come.
    entity = None if job.connector is None else answers.hear(job.connector, job.entity)
    if entity is not None:
        found |= dict(_iter_problems(job, entity))
    if (words := _find_foreign_table(job, answers)) is not None:
        found["destination", "table"] = words
    return found


def _iter_problems(job: SyncJob, entity: Entity) -> Iterator[tuple[Place, str]]:
    if job.sync_mode == SyncMode.INCREMENTAL and not job.key and not entity.key:
        yield (("key",), _NO_KEY.format(entity.name))
    if entity.kind not in _NAMES:
        return
    names = [column.name for column in entity.columns]
    for name in job.key:
        if name not in names:
            yield (
                ("key",),
                f"{entity.name} has no column {name!r}; {guess(name, names, 'it has')}",
            )
    field_name = job.cursor.get("field") if isinstance(job.cursor, dict) else job.cursor
    if field_name is None or field_name in names:
        return
    if field_name != "xmin":
        hint = guess(field_name, names, "it has")
        yield (("cursor",), f"{entity.name} has no column {field_name!r}; {hint}")
    elif not any(choice.cursor.is_xmin for choice in entity.cursors):
        words = "has no xmin, which is of tables of PostgreSQL: name a column"
        yield (("cursor",), f"{entity.name} {words}")


def _find_foreign_table(job: SyncJob, answers: SourceAnswers) -> str | None:
    """A table that is there already, and that no job made."""
    table = find_target(job)
    if job.destination is None or table is None or job.destination.get("adopt"):
        return None
    place = {"connector_id": job.destination["connector"], "schema": job.destination["schema"]}
    if Table.objects.filter(**place, relation=table).exists():
        return None
    connector = Connector.objects.filter(pk=job.destination["connector"]).first()
    if connector is None:
        return None
    wanted = read_table({"schema": job.destination["schema"], "table": table})
    if answers.hear(connector, wanted) is None:
        return None
    return f"{place['schema']}.{table} is there already, and no job made it: adopt: true takes it"
