"""Opens a live transport from a stored connector."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from functools import partial
from typing import Any

from django.conf import settings
from django.utils import timezone

from connectors.learning import learn_answer
from connectors.models import Connector
from connectors.renewing import renew_secret
from connectors.secrets import unseal
from farends.contract import Capabilities, Context, Remover, Transport
from farends.dialing import Dialer, Policy
from farends.errors import AuthConfig, ConnectionStage, Stalled
from farends.masking import (
    MaskedRemover,
    MaskedRowSource,
    MaskedTransport,
    hidden,
    make_target_mask,
    mask_fields,
)
from farends.probe import probe
from farends.reaching import Reach
from farends.registry import get_spec
from farends.rows.contract import RowSource
from farends.spec import InvalidOptions, Target, parse_options, read_stored
from farends.stages import StageOutcome, StageResult
from farends.watched import WatchedConnection

TEST_S = 60.0


def open_transport(
    connector: Connector,
    *,
    check: Callable[[], None],
    moved: Callable[[], None] = lambda: None,
) -> Transport:
    """Connects and logs in. Raises TransportError's children."""
    target = make_target(connector)
    mask = make_target_mask(target)
    with hidden(mask):
        transport = get_spec(connector.kind).open(target, make_context(check, moved))
    return transport if mask is None else MaskedTransport(transport, mask)


def open_remover(
    connector: Connector,
    *,
    check: Callable[[], None],
    moved: Callable[[], None] = lambda: None,
) -> Remover:
    """Connects and logs in, to delete and move files. Raises TransportError's children."""
    opener = get_spec(connector.kind).open_remover
    if opener is None:
        raise AuthConfig(f"a connector of kind {connector.kind} only reads")
    target = make_target(connector)
    mask = make_target_mask(target)
    with hidden(mask):
        remover = opener(target, make_context(check, moved))
    return remover if mask is None else MaskedRemover(remover, mask)


def open_rows(
    connector: Connector,
    *,
    check: Callable[[], None],
    moved: Callable[[], None] = lambda: None,
    waits: Callable[[str], None] = lambda words: None,
) -> RowSource:
    """Connects and logs in, to read tables. Raises TransportError's children."""
    opener = get_spec(connector.kind).open_rows
    if opener is None:
        raise AuthConfig(f"a connector of kind {connector.kind} offers no tables")
    target = make_target(connector)
    mask = make_target_mask(target)
    context = replace(
        make_context(check, moved), waits=waits, renew_secret=partial(renew_secret, connector)
    )
    with hidden(mask):
        source = opener(target, context)
    return source if mask is None else MaskedRowSource(source, mask)


def open_database(
    connector: Connector,
    *,
    check: Callable[[], None],
    moved: Callable[[], None] = lambda: None,
) -> WatchedConnection:
    """A PostgreSQL session of one's own with the connector's database, in autocommit, for who fills tables there.

    Raises TransportError's children; the session itself raises psycopg's errors, Stalled after a long silence
    (its `idle_s`), and what `check` raises, which cancels the statement and closes the session.
    """
    opener = get_spec(connector.kind).open_database
    if opener is None:
        raise AuthConfig(f"no tables can be filled in a connector of kind {connector.kind}")
    target = make_target(connector)
    with hidden(make_target_mask(target)):
        return opener(target, make_context(check, moved))


def test_connector(connector: Connector) -> list[StageResult]:
    """Tries every stage and keeps the answer with the connector. A far end that makes it wait for longer
    fails the stage that it has come to. Raises UnknownKind, AuthConfig."""
    spec = get_spec(connector.kind)
    seen: list[Capabilities] = []
    patience = replace(make_context(_until(TEST_S)), renew_secret=partial(renew_secret, connector))
    target = make_target(connector)
    mask = make_target_mask(target)
    results = [mask_fields(told, mask) for told in probe(spec, target, patience, seen.append)]
    for capabilities in seen:
        keep_capabilities(connector, mask_fields(capabilities, mask))
    if any(
        _is_log_in(result) for result in results
    ):  # a session that works says that the host is back
        learn_answer(connector)
    connector.last_test_at = timezone.now()
    connector.last_test = [asdict(result) for result in results]
    Connector.objects.filter(pk=connector.pk).update(
        last_test_at=connector.last_test_at, last_test=connector.last_test
    )
    return results


def _is_log_in(result: StageResult) -> bool:
    return result.stage is ConnectionStage.LOG_IN and result.outcome is StageOutcome.PASSED


def keep_capabilities(connector: Connector, measured: Capabilities) -> None:
    """What a session has measured of the host, for people to read. Each session measures again."""
    connector.capabilities = {"endpoint": connector.endpoint, **asdict(measured)}
    connector.capabilities_at = timezone.now()
    Connector.objects.filter(pk=connector.pk).update(
        capabilities=connector.capabilities, capabilities_at=connector.capabilities_at
    )


def find_capabilities(connector: Connector) -> Capabilities | None:
    """What was measured of the connector's present endpoint; None where nothing was yet."""
    kept = connector.capabilities or {}
    if kept.get("endpoint") != connector.endpoint:
        return None
    known = {field.name for field in fields(Capabilities)}
    return Capabilities(**{name: value for name, value in kept.items() if name in known})


def _until(within_s: float) -> Callable[[], None]:
    ends_at = time.monotonic() + within_s

    def check() -> None:
        if time.monotonic() > ends_at:
            raise Stalled(f"the test took longer than {within_s:g} s")

    return check


def make_target(connector: Connector) -> Target:
    """Raises AuthConfig for a secret or options that do not fit the connector's kind."""
    spec = get_spec(connector.kind)
    try:
        return Target(
            host=connector.host,
            port=connector.port,
            options=parse_options(spec.options, connector.options),
            secret=parse_options(spec.secret, unseal(connector)),
            entities=connector.entities,
        )
    except InvalidOptions as exc:
        raise AuthConfig(f"the connector's options do not fit its kind: {exc}") from exc


def make_context(check: Callable[[], None], moved: Callable[[], None] = lambda: None) -> Context:
    dialer = Dialer(Policy.parse(settings.ALLOWED_NETWORKS, settings.OWN_LISTENERS))
    return Context(dialer=dialer, check=check, moved=moved)


def read_granted_silence_s(options: Mapping[str, Any] | str) -> float:
    """The longest silence, in seconds, that a person granted a host by its connector's options, as they
    are stored; 0 where nobody said."""
    stored = json.loads(options) if isinstance(options, str) else options
    return read_stored(Reach, stored).silence_granted_s
