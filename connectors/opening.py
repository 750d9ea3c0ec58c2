"""From a stored connector to a live transport."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

from django.conf import settings
from django.utils import timezone

from connectors.contract import Context, Remover, Transport
from connectors.dialing import Dialer, Policy
from connectors.errors import AuthConfig
from connectors.models import Connector
from connectors.probe import StageResult, probe
from connectors.registry import get_spec
from connectors.secrets import unseal
from connectors.spec import InvalidOptions, Target, parse_options


def open_transport(connector: Connector, *, check: Callable[[], None]) -> Transport:
    """Connects and logs in. Raises TransportError's children."""
    spec = get_spec(connector.kind)
    return spec.open(make_target(connector), make_context(check))


def open_remover(connector: Connector, *, check: Callable[[], None]) -> Remover:
    """Connects and logs in, to delete and move files. Raises TransportError's children."""
    opener = get_spec(connector.kind).open_remover
    if opener is None:
        raise AuthConfig(f"a connector of kind {connector.kind} only reads")
    return opener(make_target(connector), make_context(check))


def root_of(connector: Connector) -> str:
    """The folder on the far end that jobs of this connector walk."""
    spec = get_spec(connector.kind)
    return str(getattr(parse_options(spec.options, connector.options), spec.root_option))


def test_connector(connector: Connector) -> list[StageResult]:
    """Tries every stage and keeps the answer with the connector."""
    spec = get_spec(connector.kind)
    results = probe(spec, make_target(connector), make_context(lambda: None))
    connector.last_test_at = timezone.now()
    connector.last_test = [asdict(result) for result in results]
    Connector.objects.filter(pk=connector.pk).update(
        last_test_at=connector.last_test_at, last_test=connector.last_test
    )
    return results


def make_target(connector: Connector) -> Target:
    """Raises AuthConfig for a secret or options that do not fit the connector's kind."""
    spec = get_spec(connector.kind)
    try:
        return Target(
            host=connector.host,
            port=connector.port,
            options=parse_options(spec.options, connector.options),
            secret=parse_options(spec.secret, unseal(connector)),
        )
    except InvalidOptions as exc:
        raise AuthConfig(f"the connector's options do not fit its kind: {exc}") from exc


def make_context(check: Callable[[], None]) -> Context:
    return Context(dialer=Dialer(Policy.parse(settings.ALLOWED_NETWORKS)), check=check)
