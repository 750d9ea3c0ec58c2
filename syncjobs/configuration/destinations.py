"""Where a job of rows puts its tables: whom it may name, and what is taken already."""

from __future__ import annotations

import difflib
import ipaddress
import socket
from collections.abc import Mapping
from typing import Any

from django.db import connection

from connectors.models import Connector
from datasets.models import Table
from farends.registry import get_spec
from farends.rows.names import NAME_BYTES_MAX, make_name
from syncjobs.models import SyncJob
from syncjobs.order.row_entities import find_table
from syncjobs.order.structures import Misfit
from workspaces.lookup import find_row
from workspaces.models import Workspace

RESERVED = ("pg_", "syncproject")  # how schemas begin that no job may write
_POSTGRESQL_PORT = 5432


def choose_destination(workspace: Workspace, written: Mapping[str, Any]) -> dict[str, Any]:
    """The destination as it is stored, with the connector's id and a schema, from its written form. Raises Misfit."""
    called = str(written["connector"])
    connector = find_row(Connector.objects.all(), workspace, called)
    if connector is None:
        names = workspace.connectors.values_list("name", flat=True)
        near = difflib.get_close_matches(called, names, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise Misfit(f"no connector {called!r} in this workspace{hint}", ("connector",))
    spec = get_spec(connector.kind)
    schemas = spec.writable_schemas(connector.options)
    if not schemas:
        raise Misfit(f"jobs may not write to {connector.name}: it is not writable", ("connector",))
    if _is_home(connector):
        words = f"{connector.name} is the product's own database: leave destination out to fill tables there"
        raise Misfit(words, ("connector",))
    schema = _choose_schema(connector.name, schemas, written.get("schema"))
    if len(str(written.get("table", "")).encode()) > NAME_BYTES_MAX:
        raise Misfit(f"has over {NAME_BYTES_MAX} bytes", ("table",))
    return {**written, "connector": str(connector.pk), "schema": schema}


def refuse_taken_table(job: SyncJob) -> None:
    """Raises Misfit where another job fills the table already. The database says the same again when the table is
    made."""
    table = find_target(job)
    if job.destination is None or table is None:
        return
    place = {"connector_id": job.destination["connector"], "schema": job.destination["schema"]}
    others = Table.objects.filter(**place, relation=table).exclude(dataset=job.dataset_id)
    owner = others.values_list("dataset__name", flat=True).first()
    if owner is None:
        beside = SyncJob.objects.filter(
            destination__connector=place["connector_id"], destination__schema=place["schema"]
        ).exclude(pk=job.pk)
        owner = next((other.name for other in beside if find_target(other) == table), None)
    if owner is not None:
        raise Misfit(f"{owner} fills {place['schema']}.{table} already", ("table",))


def find_target(job: SyncJob) -> str | None:
    """The name of the one table that the job fills in another database; None where the source names it."""
    if job.destination is None or job.entity is None:
        return None
    named = job.destination.get("table") or find_table(job.entity)
    return None if named is None else make_name(named)


def _choose_schema(name: str, schemas: tuple[str, ...], given: str | None) -> str:
    listed = ", ".join(schemas)
    if given is None:
        if len(schemas) != 1:
            raise Misfit(f"say which of the schemas of {name}: {listed}", ("schema",))
        return schemas[0]
    if given == "information_schema" or given.startswith(RESERVED):
        words = f"no job may write to {given}: it is the server's own, or the product's"
        raise Misfit(words, ("schema",))
    if given not in schemas:
        raise Misfit(f"{name} does not let jobs write to {given!r}; it has {listed}", ("schema",))
    return given


def _is_home(connector: Connector) -> bool:
    """Whether it leads to the product's own database: the same name and port on the same machine."""
    home = connection.settings_dict
    database_for = get_spec(connector.kind).database_for
    name = None if database_for is None else database_for(connector.options)
    if name != home["NAME"] or connector.port != int(home["PORT"] or _POSTGRESQL_PORT):
        return False
    host = str(home["HOST"] or "")
    ours = _addresses("localhost" if not host or host.startswith("/") else host)
    theirs = _addresses(connector.host)
    return bool(ours & theirs) or all(
        any(ipaddress.ip_address(address).is_loopback for address in addresses)
        for addresses in (ours, theirs)
    )


def _addresses(host: str) -> set[str]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return set()
    return {str(item[4][0]).partition("%")[0] for item in found}
