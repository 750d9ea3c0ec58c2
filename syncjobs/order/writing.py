"""The written form of an order, as YAML and JSON have it: read with every problem named, and written."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from syncjobs.order.job import JobOrder
from syncjobs.order.option import Form, Option, options_of
from syncjobs.order.structures import Misfit, guess

WrittenPath = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReadOrder:
    """What a written order names. `values` are plain ones, by option; None: null. Each problem has the path to where
    it stands."""

    values: dict[str, Any]
    problems: tuple[tuple[WrittenPath, str], ...]


def read_order(given: Any, order: type = JobOrder) -> ReadOrder:
    """What is not named is not there: whoever changes a job leaves it as it is."""
    reader = _Reader()
    reader.read(given, (), list(options_of(order)))
    return ReadOrder(reader.values, tuple(reader.problems))


def write_order(
    order: JobOrder, *, keep: Callable[[Option, Any], bool] = lambda option, value: True
) -> dict[str, Any]:
    """Plain values, in the order of the options; those that `keep` refuses are left out."""
    written: dict[str, Any] = {}
    for option, value in iter_values(order):
        if keep(option, value):
            place = written.setdefault(option.about.within, {}) if option.about.within else written
            place[option.name] = _plain(option, value)
    return written


def iter_values(order: Any) -> Iterable[tuple[Option, Any]]:
    """Each option of an order, and of its parts, with its value."""
    values = dict(_iter_named(order))
    return ((option, values[option.name]) for option in options_of(type(order)))


def _iter_named(order: Any) -> Iterable[tuple[str, Any]]:
    for name, field in type(order).__dataclass_fields__.items():
        value = getattr(order, name)
        if "about" in field.metadata:
            yield name, value
        else:
            yield from _iter_named(value)


def _plain(option: Option, value: Any) -> Any:
    if value is None:
        return None
    match option.form:
        case Form.TEXTS | Form.WINDOWS | Form.BLACKOUTS:
            return list(value)
        case Form.SCHEDULE:
            return dict(value)
        case Form.CHOICE:
            return str(value)
        case _:
            return value


class _Reader:
    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.problems: list[tuple[WrittenPath, str]] = []

    def read(self, given: Any, path: WrittenPath, options: list[Option]) -> None:
        """`path` leads to a mapping of the written form, which has these options."""
        here = {option.name: option for option in options if option.about.within == "".join(path)}
        mappings = dict.fromkeys(option.about.within for option in options)
        below = [] if path else [name for name in mappings if name]
        if not isinstance(given, Mapping):
            words = f"must be a mapping with {', '.join((*here, *below))}"
            self.problems.append((path, words))
            return
        for name, value in given.items():
            if name in below:
                self.read(value or {}, (*path, name), options)
            elif name in here:
                self._read_option(here[name], value, (*path, name))
            else:
                self._refuse(str(name), path, (*here, *below))

    def _read_option(self, option: Option, value: Any, path: WrittenPath) -> None:
        try:
            self.values[option.name] = _plain(option, option.read(value))
        except Misfit as exc:
            whole = (option.name, *exc.place)
            self.problems.append(((*path, *exc.place), f"{'.'.join(whole)}: {exc}"))
        except ValueError as exc:
            self.problems.append((path, f"{option.name}: {exc}"))

    def _refuse(self, name: str, path: WrittenPath, known: tuple[str, ...]) -> None:
        hint = guess(name, known, "known are")
        self.problems.append(((*path, name), f"unknown word {name!r}; {hint}"))
