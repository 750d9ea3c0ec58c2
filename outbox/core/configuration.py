"""ClientConfiguration that a client system gives: whether it may be used, and what of it changes the stream."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import jsonschema_rs

CONFIGURATION_BYTES_MAX = 1 << 20
VERSIONS_KEPT = 30
# Keys of a configuration that change the stream, and their bounds.
SETTINGS = {
    "batch_size": (1, 10_000),
    "sync_interval_s": (1, 86_400),
    "heartbeat_interval_s": (0, 86_400),
}


@dataclass(frozen=True, slots=True)
class Read:
    """What an answer holds. `refusal` says why it is not to be used; else `changes` are the stream's."""

    configuration: Mapping[str, Any] | None
    refusal: str = ""
    changes: Mapping[str, int] = field(default_factory=dict)


def check_schema(schema: object) -> str:
    """Why it is no JSON Schema; empty where it is one."""
    if not isinstance(schema, dict):
        return "give an object, as JSON Schema has it"
    try:
        _validator(schema)
    except jsonschema_rs.ValidationError as exc:
        return f"no JSON Schema: {exc.message}"[:500]
    return ""


def _validator(schema: Mapping[str, Any]) -> jsonschema_rs.Validator:
    """References lead within the schema alone, and patterns are matched in linear time."""
    return jsonschema_rs.validator_for(
        dict(schema), retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
    )


def _refuse(uri: str) -> Any:
    raise ValueError("references lead within the schema only")


def read_configuration(body: bytes, schema: Mapping[str, Any] | None) -> Read:
    if len(body) > CONFIGURATION_BYTES_MAX:
        return Read(None, f"over {CONFIGURATION_BYTES_MAX} bytes")
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return Read(None, "no JSON")
    if not isinstance(said, dict):
        return Read(None, "no JSON object")
    if "\\u0000" in json.dumps(said):
        return Read(None, "a text of it holds NUL")
    if schema is not None and (wrong := _find_fault(said, schema)):
        return Read(said, wrong)
    return Read(said, changes=_changes(said))


def _find_fault(said: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    for fault in _validator(schema).iter_errors(said):
        place = ".".join(map(str, fault.instance_path)) or "the configuration"
        return f"{place}: {fault.message}"[:500]
    return ""


def _changes(said: Mapping[str, Any]) -> dict[str, int]:
    """Only what lies within its bounds."""
    changes = {}
    for name, (least, most) in SETTINGS.items():
        value = said.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            changes[name] = value
    return changes
