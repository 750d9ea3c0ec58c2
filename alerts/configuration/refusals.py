"""Why a rule or a channel is not written, and how its fields are read."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models

Errors = dict[str, list[str]]


class InvalidAlerting(Exception):
    """Nothing was written. `errors` are words by field; `code` names what else than the form is wrong."""

    def __init__(self, errors: Mapping[str, list[str]], code: str = "") -> None:
        super().__init__("; ".join(f"{name}: {' '.join(words)}" for name, words in errors.items()))
        self.errors = dict(errors)
        self.code = code


class AlertNameTaken(Exception):
    """The workspace has a rule or a channel of this name."""


def fill_plain(row: models.Model, fields: Mapping[str, Any], names: Iterable[str]) -> Errors:
    """Gives the row these of the fields, in the types of their columns; null stands for the default. Returns what does
    not fit, by field."""
    errors: Errors = {}
    for name in names:
        if name not in fields:
            continue
        column: Any = row._meta.get_field(name)
        value = column.get_default() if fields[name] is None else fields[name]
        if isinstance(value, list | dict):
            errors[name] = ["give one value"]
            continue
        try:
            setattr(row, name, column.clean(_readable(value), row))
        except ValidationError as exc:
            errors[name] = [_word(column, value, error) for error in exc.error_list]
    return errors


def _readable(value: Any) -> Any:
    """A number that is no whole one would be cut by its column."""
    return str(value) if isinstance(value, float) else value


def _word(column: Any, value: Any, error: ValidationError) -> str:
    if error.code != "invalid_choice":
        return " ".join(error.messages)
    words = [str(word) for word, _ in column.flatchoices]
    near = difflib.get_close_matches(str(value)[:100], words, n=1)
    offer = f"did you mean {near[0]}?" if near else f"one of {', '.join(words)}"
    return f"no {str(value)[:60]!r}; {offer}"
