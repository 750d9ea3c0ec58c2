"""Saves a connector: its options fit its kind, its secret is bound to its far end, and its jobs are updated."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import ProtectedError

from connectors.models import Connector, name_address
from connectors.secrets import seal, unseal
from farends.errors import AuthConfig
from farends.registry import SPECS, UnknownKind, get_spec
from farends.spec import (
    PUSH,
    InvalidOptions,
    Spec,
    flat_options,
    option_fields,
    parse_options,
    read_stored,
)
from syncjobs.configuration.jobs import (
    HasFollowers,
    delete_job,
    follow_auto_sync,
    hold_dependencies,
    resume_jobs_of,
)
from syncjobs.models import SyncJob
from syncjobs.models.jobs import Misplaced
from syncjobs.order.row_entities import RESOURCES
from syncjobs.order.structures import Misfit, Place
from syncjobs.works.table import has_work
from workspaces import auditing
from workspaces.lookup import find_by_name

FIELDS = (
    "name",
    "kind",
    "host",
    "port",
    "options",
    "secret",
    "entities",
    "status",
    "auto_sync",
    "sync_interval_s",
    "max_running",
)
_PLAIN = tuple(name for name in FIELDS if name not in ("options", "secret", "entities"))

Problems = list[tuple[tuple[str, ...], str]]


class InvalidConnector(Exception):
    """The connector was not written. `problems` are pairs of the path to a field, below the connector, and words."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("; ".join(message for _, message in problems))
        self.problems = problems


class NameTaken(Exception):
    """The workspace has a connector of this name."""


class InUse(Exception):
    """The connector cannot go; the message names what hangs on it."""


@dataclass(frozen=True, slots=True)
class WrittenConnector:
    """`changed` names the fields that a stored one got anew."""

    connector: Connector
    changed: tuple[str, ...]
    resumed: int  # of its jobs, that were paused


def write_connector(
    connector: Connector,
    fields: Mapping[str, Any],
    *,
    merge: bool = False,
    keep_pins: bool = False,
) -> WrittenConnector:
    """Gives a new or stored connector the fields of its written form; what is not named stays.

    `options` and `secret` take the place of what was there; with `merge` their fields do, each for itself, and
    None takes one away (RFC 7396). With `keep_pins` the approved keys stay which `options` do not name, as long as they are
    of the same host. A secret that stays must be for the same far end. Raises InvalidConnector, NameTaken, and IntegrityError where the name was taken at that moment.
    """
    with transaction.atomic():
        return _write(connector, fields, merge=merge, keep_pins=keep_pins)


def save_connector(connector: Connector) -> int:
    """Saves one whose fields were checked. Its default job follows, its paused ones go on: their count."""
    with transaction.atomic():
        stored = Connector.objects.select_for_update(no_key=True).filter(pk=connector.pk).first()
        if stored is not None and stored.endpoint != connector.endpoint:
            # The test, and the host key that it was offered, speak of another endpoint.
            connector.last_test, connector.last_test_at = None, None
        connector.save()
        auditing.note_saved(connector, stored)
        follow_auto_sync(connector, stored)
        return resume_jobs_of(connector)


def delete_connector(connector: Connector) -> None:
    """With it goes the job that its auto_sync made, where that is its only one and was never run. Raises InUse where
    other jobs, records or streams hang on it."""
    with transaction.atomic():
        hold_dependencies(connector.workspace_id)  # before the connector's row, as who saves a job
        Connector.objects.select_for_update().filter(pk=connector.pk).first()
        _delete_default_job(connector)
        users = (
            ("sync jobs use it", connector.sync_jobs),
            ("streams send to it", connector.streams),
            ("sync jobs fill tables by it", _jobs_that_write_to(connector)),
        )
        for words, rows in users:
            names = list(rows.order_by("name").values_list("name", flat=True)[:11])
            if names:
                shown = ", ".join(names[:10]) + (" and more" if len(names) > 10 else "")
                raise InUse(f"{connector.name} cannot be deleted, because these {words}: {shown}")
        record = connector.sync_records(manager="either").select_related("job").first()
        if record is not None:
            raise InUse(
                f"{connector.name} cannot be deleted, because sync records tell of it, such as one of the"
                f" job {record.job.name}"
            )
        auditing.note_deleted(connector)
        try:
            connector.delete()
        except ProtectedError as exc:
            holders = ", ".join(sorted(str(row) for row in exc.protected_objects)[:10])
            raise InUse(
                f"{connector.name} cannot be deleted, because these use it: {holders}"
            ) from None


def _delete_default_job(connector: Connector) -> None:
    """Raises InUse where its records keep it. No record comes meanwhile: the connector's row is locked."""
    jobs = list(connector.sync_jobs.select_related("dataset")[:2])
    if len(jobs) != 1 or not jobs[0].is_default:
        return
    job = jobs[0]
    if job.records(manager="either").exists():
        raise InUse(
            f"{connector.name} cannot be deleted, because the records of its job {job.name} tell what dataset"
            f" {job.dataset.name} holds. Pause the connector, or delete the job first: the dataset stays"
        )
    try:
        delete_job(job)
    except HasFollowers as exc:
        raise InUse(f"{connector.name} cannot be deleted: {exc}") from None


def _jobs_that_write_to(connector: Connector) -> models.QuerySet[SyncJob]:
    return SyncJob.objects.filter(
        workspace=connector.workspace_id, destination__connector=str(connector.pk)
    )


def find_problems(row: models.Model, exclude: Iterable[str] = ()) -> Problems:
    """What does not fit in its fields' values, whatever other rows there are."""
    try:
        row.full_clean(exclude=[*exclude], validate_unique=False, validate_constraints=False)
    except ValidationError as exc:
        return list(tell_errors(row, exc))
    return []


def tell_errors(row: models.Model, exc: ValidationError) -> Iterator[tuple[Place, str]]:
    """One problem for each place, which may be a part of a field's value."""
    for name, errors in exc.error_dict.items():
        said: dict[Place, list[str]] = {}
        for error in errors:
            inner = error.place if isinstance(error, Misplaced) else ()
            said.setdefault((name, *inner), []).append(_hint(row, name, error))
        for place, words in said.items():
            yield place, f"{'.'.join(place)}: {' '.join(words)}"


def _write(
    given: Connector, fields: Mapping[str, Any], *, merge: bool, keep_pins: bool
) -> WrittenConnector:
    rows = Connector.objects.select_for_update(no_key=True, of=("self",))
    stored = rows.select_related("workspace").filter(pk=given.pk).first()
    connector = given if stored is None else stored
    before, secret_before = _state_of(connector), _secret_of(connector)
    endpoint_before = connector.endpoint if stored is not None else None
    spec = _fill(connector, fields, merge=merge, keep_pins=keep_pins)
    problems = find_problems(connector, ["workspace"])
    problems += _problems_of("options", spec.options, connector.options)
    problems += find_kind_problems(connector, spec)
    problems += _find_entity_problems(connector, spec)
    if "secret" in fields:
        secret = _next_secret(fields["secret"], connector, merge)
        problems += _problems_of("secret", spec.secret, secret)
        if secret != secret_before or connector.endpoint != endpoint_before:
            seal(connector, secret)
    elif connector.sealed_secret and connector.endpoint != endpoint_before:
        words = f"secret: it was stored for {endpoint_before} and goes nowhere else: give it again"
        problems.append((("secret",), words))
    if problems:
        raise InvalidConnector(problems)
    changed = [name for name, value in _state_of(connector).items() if value != before[name]]
    if _secret_of(connector) != secret_before:
        changed.append("secret")
    if stored is not None and not changed:
        return WrittenConnector(connector, (), 0)
    if "name" in changed or stored is None:
        others = Connector.objects.exclude(pk=connector.pk)
        if find_by_name(others, connector.workspace, connector.name) is not None:
            raise NameTaken(_taken(connector))
    return WrittenConnector(connector, tuple(changed), save_connector(connector))


def _fill(connector: Connector, fields: Mapping[str, Any], *, merge: bool, keep_pins: bool) -> Spec:
    """Raises InvalidConnector for a kind that is not there."""
    try:
        spec = get_spec(str(fields.get("kind", connector.kind)))
    except UnknownKind as exc:
        raise InvalidConnector([(("kind",), f"kind: {exc}")]) from None
    address_before = connector.address
    for name in _PLAIN:
        if name in fields:
            setattr(connector, name, fields[name])
    if "entities" in fields:
        connector.entities = fields["entities"] or {}
    if "options" in fields:
        options = flat_options(fields["options"] or {})
        kept = {**connector.options, **options} if merge else options
        if keep_pins:
            port = connector.port or spec.usual_port(options)
            is_same_host = name_address(connector.host, port) == address_before
            pins = _list_kept_pins(spec, connector.options, options, is_same_host=is_same_host)
            kept = {**pins, **kept}
        kept = {name: value for name, value in kept.items() if value is not None}
        if not _mean_the_same(spec, kept, connector.options):
            connector.options = _as_its_kind_has_them(spec, kept)
    connector.port = connector.port or spec.usual_port(connector.options)
    return spec


def _list_kept_pins(
    spec: Spec, stored: Mapping[str, Any], given: Mapping[str, Any], *, is_same_host: bool
) -> dict[str, Any]:
    """The stored keys of the host and of the jump host that are still the same ones."""
    jumps = [read_stored(spec.options, options).jump() for options in (stored, given)]
    is_same_jump = jumps[0] == jumps[1]
    return {
        name: stored[name]
        for name, whose in spec.pins().items()
        if name in stored and (is_same_host if whose == "host" else is_same_jump)
    }


def _as_its_kind_has_them(spec: Spec, given: Any) -> Any:
    """Options with values of their own types, where all of them fit: a number that YAML has as text is a number."""
    try:
        parsed = parse_options(spec.options, given)
    except (InvalidOptions, AttributeError):
        return given
    attributes = {field.name: field.attribute for field in option_fields(spec.options)}
    values = {name: getattr(parsed, attributes[name]) for name in given}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in values.items()
    }


def _mean_the_same(spec: Spec, given: Any, stored: Any) -> bool:
    """Whether options differ in nothing but defaults that are written out."""
    try:
        return bool(parse_options(spec.options, given) == parse_options(spec.options, stored))
    except (InvalidOptions, AttributeError):
        return False


def find_kind_problems(connector: Connector, spec: Spec) -> Problems:
    """No job syncs from a far end that only takes readings, and no stream sends to another."""
    is_stored = not connector._state.adding
    if has_work(spec.far_end):
        if is_stored and spec.far_end != PUSH and connector.streams.exists():
            words = f"kind: streams send to this connector, and kind {spec.kind} takes no readings"
            return [(("kind",), words)]
        return []
    if connector.auto_sync:
        return [
            (("auto_sync",), f"auto_sync: no job can sync from a connector of kind {spec.kind}")
        ]
    if is_stored and connector.sync_jobs.exists():
        return [(("kind",), f"kind: sync jobs use it, and none can sync from kind {spec.kind}")]
    return []


def _find_entity_problems(connector: Connector, spec: Spec) -> Problems:
    if connector.entities and not spec.has_entities:
        takers = [kind for kind, other in SPECS.items() if other.has_entities]
        owners = (
            f"only connectors of kind {' and '.join(takers)} have it"
            if takers
            else "no kind has it"
        )
        return [(("entities",), f"entities: {owners}")]
    try:
        RESOURCES.check(connector.entities)
    except Misfit as exc:
        return [(("entities", *exc.place), f"{'.'.join(('entities', *exc.place))}: {exc}")]
    return []


def _next_secret(
    given: Mapping[str, Any] | None, connector: Connector, merge: bool
) -> dict[str, Any]:
    """None forgets it. What is kept of a stored one was stored for the far end of now."""
    kept = (_secret_of(connector) or {}) if merge and given is not None else {}
    return {name: value for name, value in {**kept, **(given or {})}.items() if value}


def _problems_of(noun: str, cls: type, given: Mapping[str, Any]) -> Problems:
    try:
        parse_options(cls, given)
    except InvalidOptions as exc:
        return [
            ((noun, name), f"{name} {text}" if text.startswith("is ") else f"{name}: {text}")
            for name, text in exc.problems.items()
        ]
    return []


def _hint(row: models.Model, field: str, error: ValidationError) -> str:
    """What is wrong; of a word that is not to choose, which ones are."""
    if error.code != "invalid_choice":
        return " ".join(error.messages)
    choices: Iterable[tuple[Any, Any]] = getattr(row._meta.get_field(field), "flatchoices", ())
    words = [str(value) for value, _ in choices]
    given = str(getattr(row, field))
    near = difflib.get_close_matches(given, words, n=1)
    return f"no {given!r}; " + (
        f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
    )


def _state_of(row: models.Model) -> dict[str, Any]:
    return {name: getattr(row, name) for name in (*_PLAIN, "options", "entities")}


def _secret_of(connector: Connector) -> dict[str, Any] | None:
    try:
        return unseal(connector)
    except AuthConfig:
        return None


def _taken(connector: Connector) -> str:
    return f"There is a connector {connector.name} in this workspace already"
