"""What is declared once: queues, chores, beat's duties, kinds of work. The rest is made from the tables."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from celery import current_app
from django.conf import settings

from connectors.models import Connector
from datasets.models import DatasetKind
from farends.registry import SPECS
from farends.spec import PUSH
from syncjobs.core.states import State
from syncjobs.works.table import WORKS, get_work
from tasks.bells import WATCH
from tasks.chores import CHORES
from tasks.duties import DUTIES
from tasks.queues import CONTROL, QUEUES, name_canary

ROOT = Path(__file__).parents[2]


def our_tasks() -> set[str]:
    current_app.loader.import_default_modules()
    return {name for name in current_app.tasks if not name.startswith("celery.")}


def tasks_of(queue: str) -> set[str]:
    routed = {name: current_app.amqp.router.route({}, name)["queue"].name for name in our_tasks()}
    return {name for name, named in routed.items() if named == queue}


def test_a_task_belongs_to_the_queue_that_its_name_begins_with() -> None:
    assert [queue.name for queue in settings.CELERY_TASK_QUEUES] == list(QUEUES)
    for queue in QUEUES:
        assert {name.partition(".")[0] for name in tasks_of(queue)} == {queue}
    assert our_tasks() == {name for queue in QUEUES for name in tasks_of(queue)}


def test_every_queue_has_a_canary() -> None:
    assert all(name_canary(queue) in tasks_of(queue) for queue in QUEUES)


def test_every_chore_is_a_task_of_the_queue_control() -> None:
    chores = {chore.task for chore in CHORES}
    assert len(chores) == len(CHORES) == len({chore.title for chore in CHORES})
    assert tasks_of(CONTROL) == chores | {name_canary(CONTROL), WATCH}


def test_every_duty_of_beat_comes_again() -> None:
    assert len({duty.name for duty in DUTIES}) == len(DUTIES)
    assert all(duty.every_s() > 0 for duty in DUTIES)


def test_every_kind_of_connector_has_a_kind_of_work() -> None:
    synced = [kind for kind, spec in SPECS.items() if spec.far_end != PUSH]
    assert {get_work(Connector(kind=kind)).dataset_kind for kind in synced} == set(DatasetKind)
    assert {SPECS[kind].far_end for kind in synced} == set(WORKS)
    assert get_work(None).dataset_kind == DatasetKind.TABLE


LIVE = {State.QUEUED, State.RUNNING, State.HELD}
# What a move means for other columns, and which moves there are: there each state stands for itself.
BY_STATE = {"syncjobs/core/states.py", "syncjobs/records/transition.py"}


def lists_of_states(text: str) -> Iterator[set[str]]:
    """Yields the states that are named beside each other, in Python or in a statement."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            yield {
                each.attr.lower()
                for each in node.elts
                if isinstance(each, ast.Attribute) and ast.unparse(each.value) == "State"
            }
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for listed in re.finditer(r"\bIN \(([^()]*)\)", node.value):
                yield set(re.findall(r"'(\w+)'", listed[1]))


def test_which_states_are_active_is_said_once() -> None:
    found = [
        f"{place} {sorted(states)}"
        for place, text in product_texts()
        if place not in BY_STATE
        for states in lists_of_states(text)
        if len(states & LIVE) > 1
    ]
    assert found == [], "ACTIVE and OPEN in syncjobs/core/states.py, IN_ACTIVE and IN_OPEN for SQL"


def product_texts() -> Iterator[tuple[str, str]]:
    for package in ("api", "cli", "console", "embedded", "outbox", "syncjobs", "tasks"):
        for file in (ROOT / package).rglob("*.py"):
            if "migrations" not in file.parts:
                yield str(file.relative_to(ROOT)), file.read_text()
