"""Values as PostgreSQL would print them (`::text`, in UTC), for who shows a few and has no database at hand."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from farends.rows.inference import ValueType

_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2})(?::([0-9]{2})(?:\.([0-9]++))?+)?+(Z|[+-][0-9:]++)?+"
)


class _Number(str):
    """A number as it is written: no digit is lost."""

    __slots__ = ()


_ANY = msgspec.json.Decoder(float_hook=_Number)


def print_value(text: str, kind: ValueType | None) -> str:
    """`text` is the value as its source wrote it."""
    match kind:
        case ValueType.JSONB:
            return _print_jsonb(text)
        case ValueType.TIMESTAMP | ValueType.TIMESTAMPTZ:
            return _print_time(text, zoned=kind is ValueType.TIMESTAMPTZ)
        case _:
            return text


def _print_jsonb(text: str) -> str:
    try:
        return _write(_ANY.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return text


def _write(value: Any) -> str:
    """jsonb has its members in the order of their lengths, then of their bytes."""
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: (len(name.encode()), name.encode()))
        return "{" + ", ".join(f"{_quote(name)}: {_write(value[name])}" for name in names) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_write, value)) + "]"
    if isinstance(value, str) and not isinstance(value, _Number):
        return _quote(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _quote(text: str) -> str:
    return msgspec.json.encode(text).decode()


def _print_time(text: str, *, zoned: bool) -> str:
    found = _TIME.fullmatch(text)
    if found is None:
        return text
    day, minute, second, fraction, zone = found.groups()
    shown = f"{day} {minute}:{second or '00'}"
    if zone not in (None, "Z"):
        hours, minutes = int(zone[1:3]), int(zone[-2:]) if len(zone) > 3 else 0
        offset = timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
        moment = datetime.fromisoformat(shown).replace(tzinfo=UTC) - offset
        shown = moment.strftime("%Y-%m-%d %H:%M:%S")
    digits = (fraction or "").rstrip("0")
    return f"{shown}{'.' if digits else ''}{digits}{'+00' if zoned else ''}"
