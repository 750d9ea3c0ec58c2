"""Writes rows as configuration that `apply` takes: what differs from the defaults, and secrets by reference.

What is told comes from the models' fields and from the options of a job, so that a new one is told without a line here.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models

from connectors.models import Connector
from connectors.secrets import unseal
from farends.errors import AuthConfig
from farends.registry import SPECS
from farends.spec import group_options, parse_options
from search.choices import tell_own_choice
from syncjobs.configuration.sections import StoredSecret, all_sections
from syncjobs.models import SyncJob
from syncjobs.models.jobs import default_max_attempts
from syncjobs.order.job import belongs_to
from syncjobs.order.option import Option
from syncjobs.order.writing import write_order
from workspaces.models import Workspace


@dataclass(frozen=True, slots=True)
class Variable:
    """Stands in the document for a secret: the environment variable that `apply` is to take it from."""

    name: str


_Sections = dict[str, list[dict[str, Any]]]  # by the name of the section


@dataclass(frozen=True, slots=True)
class Export:
    """`document` is what `apply_configuration` takes, once each Variable in it has its value."""

    document: dict[str, Any]
    variables: tuple[str, ...]
    notes: tuple[str, ...]  # what could not be told


def export_configuration(workspaces: Iterable[Workspace]) -> Export:
    # Jobs first: the connector of one that is read cannot go before it is read too.
    rows = sorted(workspaces, key=lambda workspace: workspace.name)
    jobs = {
        row.pk: list(row.sync_jobs.select_related("connector", "source_dataset")) for row in rows
    }
    connectors = {row.pk: sorted(row.connectors.all(), key=_name) for row in rows}
    sections = {row.pk: {one.name: one.tell(row) for one in all_sections()} for row in rows}
    exporter = _Exporter((connector for row in rows for connector in connectors[row.pk]), sections)
    document = [exporter.workspace(row, connectors[row.pk], jobs[row.pk]) for row in rows]
    return Export({"workspaces": document}, tuple(exporter.variables), tuple(exporter.notes))


class _Exporter:
    def __init__(
        self, connectors: Iterable[Connector], sections: Mapping[uuid.UUID, _Sections]
    ) -> None:
        self.notes: list[str] = []
        self._secrets = {row.pk: self._fields_of(row) for row in connectors}
        self._sections = sections
        self._taken = Counter(name for names in self._secrets.values() for name in names.values())
        self._taken.update(
            _name_variable("_".join(value.path))
            for lists in sections.values()
            for entries in lists.values()
            for entry in entries
            for value in entry.values()
            if isinstance(value, StoredSecret)
        )
        self.variables: list[str] = []

    def _fields_of(self, row: Connector) -> dict[str, str]:
        """The variable of each field of its secret, by the field."""
        try:
            return {field: _variable(row, field) for field in sorted(unseal(row))}
        except AuthConfig as exc:
            self.notes.append(f"connector {row.workspace.name}/{row.name}: {exc}")
            return {}

    def workspace(
        self, row: Workspace, connectors: list[Connector], jobs: list[SyncJob]
    ) -> dict[str, Any]:
        told = _differing(row)
        if search := self._search(row):
            told["search"] = search
        if connectors:
            told["connectors"] = [self._connector(connector) for connector in connectors]
        if told_jobs := [entry for job in sorted(jobs, key=_name) if (entry := self._job(job))]:
            told["sync_jobs"] = told_jobs
        for name, entries in self._sections[row.pk].items():
            if entries:
                told[name] = [self._entry(entry) for entry in entries]
        return told

    def _entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: self._take(_name_variable("_".join(value.path)), "/".join(value.path))
            if isinstance(value, StoredSecret)
            else value
            for name, value in entry.items()
        }

    def _search(self, row: Workspace) -> dict[str, Any]:
        told, has_key = tell_own_choice(row)
        if has_key:
            path = f"{row.name}/search/key"
            told["embedding"]["key"] = self._take(_name_variable(path), path)
        return told

    def _connector(self, row: Connector) -> dict[str, Any]:
        told = _differing(row, always=("kind", "host"))
        spec = SPECS.get(row.kind)
        if spec is not None:
            if row.port == spec.usual_port(row.options):
                del told["port"]
            told["options"] = _without_defaults(spec.options, row.options)
        told["secret"] = {
            field: self._take(name, f"{row.workspace.name}/{row.name}/{field}")
            for field, name in self._secrets[row.pk].items()
        }
        return {name: value for name, value in told.items() if value != {}}

    def _take(self, name: str, path: str) -> Variable:
        """Where two secrets would share a name, both have a digest in theirs."""
        if self._taken[name] > 1:
            name += "_" + hashlib.sha256(path.encode()).hexdigest()[:8].upper()
        self.variables.append(name)
        return Variable(name)

    def _job(self, row: SyncJob) -> dict[str, Any]:
        """Nothing for a job that its connector's `auto_sync` makes as it is."""
        far_end = row.far_end
        told = write_order(
            row.order,
            keep=lambda option, value: belongs_to(option.name, far_end) and _is_told(option, value),
        )
        if row.is_default and row.connector is not None and row.connector.auto_sync:
            if row.name != f"{row.connector.name[:85]}-auto":
                self.notes.append(
                    f"sync job {row.workspace.name}/{row.name} is kept by auto_sync of {row.connector.name}"
                    " under a name of its own: elsewhere `apply` makes another one beside it"
                )
            elif row.schedule == {"every_s": row.connector.sync_interval_s}:
                del told["schedule"]  # its connector says it
                if row.max_attempts == default_max_attempts():
                    del told["max_attempts"]
                return told if len(told) > 2 else {}
        return told


def _differing(row: models.Model, always: Iterable[str] = ()) -> dict[str, Any]:
    """Yields name and value of each field that differs from a new row, in the order of the class."""
    told: dict[str, Any] = {}
    for field in row._meta.concrete_fields:
        if field.primary_key or field.is_relation or not field.editable:
            continue
        value = getattr(row, field.name)
        if field.name in ("name", *always) or value != field.get_default():
            told[field.name] = value
    return told


def _is_told(option: Option, value: Any) -> bool:
    """Where the default is a setting, the value is told all the same: the file means the same elsewhere."""
    return option.required or bool(option.about.settings) or value != option.default


def _without_defaults(cls: type, options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options in the order of their names. An option that the kind does not know stays, so that `apply` tells of it."""
    told = {}
    for name, value in sorted(options.items()):
        rest = {key: other for key, other in options.items() if key != name}
        try:
            needless = parse_options(cls, rest) == parse_options(cls, options)
        except ValueError:
            needless = False
        if not needless:
            told[name] = value
    return group_options(told)


def _name(row: Connector | SyncJob) -> str:
    return row.name


def _variable(connector: Connector, field: str) -> str:
    """ACME_REPORTS_HOST_PRIVATE_KEY: always the same for the same secret."""
    return _name_variable(f"{connector.workspace.name}_{connector.name}_{field}")


def _name_variable(path: str) -> str:
    name = re.sub(r"[^A-Za-z0-9]", "_", path).upper()
    return f"_{name}" if name[0].isdigit() else name
