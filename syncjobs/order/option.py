"""A field of an order, declared once: what it is called, what it takes, and what its values mean."""

from __future__ import annotations

import contextlib
import dataclasses
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter
from typing import Any, TypeVar

from syncjobs.order.structures import Structure, guess

CHARACTERS_MAX = 1_000  # characters of a text, where its option says no other number
ITEMS_MAX = 1_000  # of a list

_Part = TypeVar("_Part")


class Form(StrEnum):
    """What a value is made of. Each surface has one way to read and to show each of them."""

    TEXT = "text"
    WHOLE = "whole number"
    FLAG = "true or false"
    CHOICE = "choice"  # one of the words of an enum
    TEXTS = "list of text"
    SCHEDULE = "schedule"  # a mapping, see `timing.schedules`
    WINDOWS = "windows"  # a list of mappings, see `timing.windows`
    BLACKOUTS = "blackouts"
    NUMBER = "number"
    STRUCTURE = "mapping"  # of words, see `About.structure`


@dataclass(frozen=True, slots=True)
class About:
    """What surfaces tell of an option, and what its values must keep to."""

    label: str
    help: str
    unit: str = ""  # "s", "bytes", or what is counted
    null: str = ""  # what null means, where that is not the default
    group: str = ""  # the heading under which surfaces show it
    within: str = ""  # the mapping of the written form that it stands in
    attribute: str = ""  # of the row, where that has not the option's name
    form: Form | None = None  # where the type does not say it
    least: int | None = None  # of a number
    most: int | None = None  # of a number; of a text, or each text of a list: its characters
    words: Mapping[str, str] = field(default_factory=dict)  # what each choice means
    only_with: tuple[str, str] | None = None  # without this value of that option it has no effect
    settings: str = ""  # of the installation, from which a new job has its value
    advanced: bool = False  # few need it, so surfaces show it last
    clocked: bool = False  # it says something only of schedules that fire by the clock
    fixed: bool = False  # it cannot change while the dataset has versions
    check: Callable[[Any], object] | None = None  # raises ValueError; its words follow the name
    structure: Structure | None = None  # of form STRUCTURE: what may stand in it


def job_option(label: str, help: str, *, default: Any = dataclasses.MISSING, **about: Any) -> Any:  # noqa: A002 — the word people know
    """A field of an order, required where it has no default; the other arguments are the fields of `About`."""
    metadata = {"about": About(label, help, **about), "default": default}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=default.copy, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class Option:
    """One option as a surface needs it."""

    name: str
    form: Form
    nullable: bool
    required: bool
    default: Any
    choices: tuple[StrEnum, ...]
    about: About

    def read(self, value: Any) -> Any:
        """The value that is meant by its written form; None stays None. Raises ValueError; where it is a Misfit, that
        has the place in the value."""
        if value is None:
            return None
        read = _READERS[self.form](self, value)
        if self.about.check is not None:
            self.about.check(read)
        return read


def options_of(order: type) -> Iterator[Option]:
    """The options of an order and of its parts, as they were declared."""
    hints = typing.get_type_hints(order)
    for each in dataclasses.fields(order):
        about: About | None = each.metadata.get("about")
        if about is None:
            yield from options_of(hints[each.name])
            continue
        kind, nullable = _plain(hints[each.name])
        is_choice = isinstance(kind, type) and issubclass(kind, StrEnum)
        default = each.metadata["default"]
        yield Option(
            name=each.name,
            form=about.form or (Form.CHOICE if is_choice else _FORMS[kind]),
            nullable=nullable,
            required=default is dataclasses.MISSING,
            default=None if default is dataclasses.MISSING else default,
            choices=tuple(kind) if is_choice else (),
            about=about,
        )


def build(order: type[_Part], row: Any) -> _Part:
    """An order, or a part of one, with the values that the row has."""
    hints = typing.get_type_hints(order)
    values = {}
    for each in dataclasses.fields(order):  # type: ignore[arg-type]  # it is a dataclass
        about: About | None = each.metadata.get("about")
        if about is None:
            values[each.name] = build(hints[each.name], row)
            continue
        value = attrgetter(about.attribute or each.name)(row)
        values[each.name] = tuple(value) if isinstance(value, list) else value
    return order(**values)


def _plain(hint: Any) -> tuple[Any, bool]:
    """The type without None, and whether None was there."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return inner[0], True
    return hint, False


_FORMS: dict[Any, Form] = {
    str: Form.TEXT,
    int: Form.WHOLE,
    bool: Form.FLAG,
    float: Form.NUMBER,
    tuple[str, ...]: Form.TEXTS,
}


def _read_text(option: Option, value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("must be text")  # noqa: TRY004 — one kind of problem
    return _check_text(str(value), option.about.most or CHARACTERS_MAX)


def _check_text(text: str, most: int) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which cannot be stored")
    if len(text) > most:
        raise ValueError(f"has over {most} characters")
    return text


def _read_whole(option: Option, value: Any) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)  # of a variable: `${env:NAME}` is text
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")  # noqa: TRY004 — one kind of problem
    least, most = option.about.least, option.about.most
    if least is not None and value < least:
        raise ValueError(f"must be {least} or more")
    if most is not None and value > most:
        raise ValueError(f"must be {most} or less")
    return value


def _read_flag(option: Option, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):  # of a variable
        return bool(value == "true")
    raise ValueError("must be true or false")


def _read_choice(option: Option, value: Any) -> StrEnum:
    for choice in option.choices:
        if value == choice.value:
            return choice
    words = [choice.value for choice in option.choices]
    raise ValueError(f"no {str(value)[:60]!r}; {guess(str(value), words, 'one of')}")


def _read_number(option: Option, value: Any) -> float:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)  # of a variable
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError("must be a number")  # noqa: TRY004 — one kind of problem
    least, most = option.about.least, option.about.most
    if not (least is None or value >= least) or not (most is None or value <= most):
        raise ValueError(f"must be from {least} to {most}")
    return float(value)


def _read_structure(option: Option, value: Any) -> Any:
    if option.about.structure is not None:
        option.about.structure.check(value)
    return value


def _read_texts(option: Option, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise ValueError("must be a list of text")
    if len(value) > ITEMS_MAX:
        raise ValueError(f"has over {ITEMS_MAX} items")
    return tuple(_check_text(item, option.about.most or CHARACTERS_MAX) for item in value)


def _read_as_it_is(option: Option, value: Any) -> Any:
    return value  # the option's check says whether it is one


_READERS: dict[Form, Callable[[Option, Any], Any]] = {
    Form.TEXT: _read_text,
    Form.WHOLE: _read_whole,
    Form.FLAG: _read_flag,
    Form.CHOICE: _read_choice,
    Form.TEXTS: _read_texts,
    Form.SCHEDULE: _read_as_it_is,
    Form.WINDOWS: _read_as_it_is,
    Form.BLACKOUTS: _read_as_it_is,
    Form.NUMBER: _read_number,
    Form.STRUCTURE: _read_structure,
}
