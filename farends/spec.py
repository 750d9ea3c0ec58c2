"""How a kind of connector describes itself: one `Spec`, from which form, schema and docs are made."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from farends.contract import Context, Remover, Transport


def option(
    label: str,
    help: str = "",  # noqa: A002 — the word people know
    *,
    default: Any = dataclasses.MISSING,
    advanced: bool = False,
    check: Callable[[Any], object] | None = None,
) -> Any:
    """A field of an options or secret dataclass; without a default it is required.

    `advanced`: few need it, so surfaces show it last. `check` raises ValueError with words that
    follow the field's name.
    """
    told = {"label": label, "help": help, "advanced": advanced, "check": check}
    return dataclasses.field(default=default, metadata=told)


@dataclass(frozen=True, slots=True)
class Target:
    """One far end: where it is, how to speak to it, and the secret for it."""

    host: str
    port: int
    options: Any  # an instance of the spec's options class
    secret: Any  # an instance of the spec's secret class


FILES = "files"  # a far end that holds a tree of files


@dataclass(frozen=True, slots=True)
class Spec:
    """A kind of connector. `open` connects and logs in; it raises TransportError's children.

    `far_end` says what is there to sync; the kind of work that a job does is chosen by it.

    `greet` is for a kind whose `open` does not log in: for the connection test it asks the host one
    question, says what the host answered, and raises AuthRefused where the host refuses the log-in.
    """

    kind: str
    title: str
    default_port: int
    options: type
    secret: type
    open: Callable[[Target, Context], Transport]
    open_remover: Callable[[Target, Context], Remover] | None = None  # None: this kind only reads
    far_end: str = FILES
    greet: Callable[[Target, Context], str] | None = None


@dataclass(frozen=True, slots=True)
class OptionField:
    """One option as a surface needs it. `type` is str, int, float, bool or list."""

    name: str
    label: str
    help: str
    type: type
    required: bool
    default: Any
    choices: tuple[str, ...] = ()
    advanced: bool = False
    check: Callable[[Any], object] | None = None


class InvalidOptions(ValueError):
    """Options that a kind does not take; `problems` maps a field's name to what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems.items()))
        self.problems = dict(problems)


def option_fields(cls: type) -> list[OptionField]:
    """In the order of the class, the advanced ones last."""
    hints = typing.get_type_hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        kind, choices = _plain_type(hints[field.name])
        required = field.default is dataclasses.MISSING
        fields.append(
            OptionField(
                name=field.name,
                label=str(field.metadata.get("label", field.name)),
                help=str(field.metadata.get("help", "")),
                type=kind,
                required=required,
                default=None if required else field.default,
                choices=choices,
                advanced=bool(field.metadata.get("advanced", False)),
                check=field.metadata.get("check"),
            )
        )
    return sorted(fields, key=lambda field: field.advanced)


def parse_options(cls: type, given: Mapping[str, Any]) -> Any:
    """An instance of the dataclass. Raises InvalidOptions that names every wrong field at once."""
    known = {field.name: field for field in option_fields(cls)}
    problems: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            problems[name] = (
                f"no such option; did you mean {near[0]}?"
                if near
                else (f"no such option; there are {', '.join(known) or 'none'}")
            )
            continue
        try:
            values[name] = _convert(known[name], value)
            if (check := known[name].check) is not None:
                check(values[name])
        except ValueError as exc:
            problems[name] = str(exc)
    for name, field in known.items():
        if field.required and name not in values and name not in problems:
            problems[name] = "is required"
    if problems:
        raise InvalidOptions(problems)
    return cls(**values)


def _plain_type(hint: Any) -> tuple[type, tuple[str, ...]]:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return str, tuple(str(choice) for choice in typing.get_args(hint))
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return _plain_type(inner[0])
    if origin is tuple:
        return list, ()
    return hint, ()


def _convert(field: OptionField, value: Any) -> Any:
    if value is None:
        if field.required:
            raise ValueError("is required")
        return field.default
    if field.type is list:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list")
        return tuple(str(item) for item in value)
    if field.type is bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if isinstance(value, bool | list | dict):
        raise ValueError(f"must be {_WORDS[field.type]}")  # noqa: TRY004 — one kind of problem
    try:
        converted = field.type(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be {_WORDS[field.type]}") from None
    if field.choices and converted not in field.choices:
        raise ValueError(f"must be one of {', '.join(field.choices)}")
    return converted


_WORDS = {str: "text", int: "a whole number", float: "a number"}
