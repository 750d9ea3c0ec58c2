"""Prints a cell of a file as PostgreSQL would print the value, for previews."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation


def print_cell(text: str, kind: str) -> str:
    """`kind` is the PostgreSQL type of the column; what it does not hold stays as it is."""
    if kind == "boolean":
        return text.lower()
    if kind == "bigint" or kind.startswith("numeric"):
        return _print_number(text)
    if kind.startswith("timestamp"):
        return _print_time(text, with_zone=kind.endswith("with time zone"))
    return text


def _print_number(text: str) -> str:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return text
    if not number.is_finite() or abs(number.adjusted()) > 1_000:
        return text
    return f"{abs(number) if number.is_zero() else number:f}"


def _print_time(text: str, *, with_zone: bool) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return text
    if not with_zone:
        return (
            str(moment.replace(tzinfo=None)).rstrip("0")
            if moment.microsecond
            else str(moment.replace(tzinfo=None))
        )
    utc = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(
        timezone(timedelta(0))
    )
    plain = str(utc.replace(tzinfo=None))
    return (plain.rstrip("0") if utc.microsecond else plain) + "+00"
