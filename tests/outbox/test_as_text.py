"""`streams:` in the configuration as text."""

from __future__ import annotations

from typing import Any

import pytest

from cli.configfile import dump
from outbox.models import Stream
from syncjobs.configuration.findings import InvalidConfiguration
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.configuration.yaml_out import export_configuration
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db(transaction=True)


def document(**stream: Any) -> dict[str, Any]:
    client = {
        "name": "client-system",
        "kind": "client",
        "host": "client.example.com",
        "options": {"tls": True, "paths": {"batch": "/v2/batches"}, "timeout_s": 5},
    }
    streams = [{"name": "meters", "client": "client-system", **stream}]
    return {"workspaces": [{"name": "acme", "connectors": [client], "streams": streams}]}


def test_streams_are_applied_exported_and_applied_again() -> None:
    first = apply_configuration(document(batch_size=500, configuration_schema={"type": "object"}))
    assert [(one.action, one.noun) for one in first][-1] == ("created", "stream")
    again = apply_configuration(document(batch_size=500))
    assert {one.action for one in again} == {"unchanged"}
    exported = export_configuration(Workspace.objects.all()).document
    assert exported["workspaces"][0]["connectors"][0]["options"]["paths"] == {
        "batch": "/v2/batches"
    }
    assert dump(exported)
    assert exported["workspaces"][0]["streams"] == [
        {
            "name": "meters", "client": "client-system", "batch_size": 500,
            "configuration_schema": {"type": "object"},
        }
    ]  # fmt: skip
    assert {one.action for one in apply_configuration(exported)} == {"unchanged"}
    (*_, changed) = apply_configuration(document(batch_size="7"))
    assert (changed.action, changed.fields) == ("changed", ("batch_size",))
    assert apply_configuration(document(batch_size=9), dry_run=True)[-1].action == "changed"
    assert Stream.objects.get().batch_size == 7


@pytest.mark.parametrize(
    ("stream", "place"),
    [
        ({"client": "nobody"}, "client"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": "many"}, "batch_size"),
        ({"batchsize": 5}, "batchsize"),
        ({"configuration_schema": {"type": "objekt"}}, "configuration_schema"),
    ],
)
def test_a_stream_that_does_not_fit_changes_nothing(stream: dict[str, Any], place: str) -> None:
    with pytest.raises(InvalidConfiguration) as caught:
        apply_configuration(document(**stream))
    assert [one.path for one in caught.value.problems] == [("workspaces", 0, "streams", 0, place)]
    assert not Workspace.objects.exists()
