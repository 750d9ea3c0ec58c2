"""Values that are made of several words, such as the entity of a job: what may stand in them, and how that is told.

A structure checks a value, word by word, and tells itself as JSON Schema, so that both are one definition.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Place = tuple[str, ...]


class Misfit(ValueError):
    """The value does not fit. `place` leads from the value to what is wrong in it."""

    def __init__(self, words: str, place: Place = ()) -> None:
        super().__init__(words)
        self.place = place


class Structure(Protocol):
    def check(self, value: Any, place: Place = ()) -> None:
        """Raises Misfit."""
        ...

    @property
    def schema(self) -> dict[str, Any]: ...


@dataclass(frozen=True, slots=True)
class Words:
    """Text. `known` are the only ones that are taken."""

    least: int = 1
    most: int = 1_000
    known: tuple[str, ...] = ()
    pattern: str = ""
    example: str = ""  # of what the pattern takes

    def check(self, value: Any, place: Place = ()) -> None:
        if not isinstance(value, str):
            raise Misfit("must be text", place)
        _check_characters(value, place)
        if self.known and value not in self.known:
            raise Misfit(f"no {value[:60]!r}; {guess(value, self.known, 'one of')}", place)
        if len(value) > self.most:
            raise Misfit(f"has over {self.most} characters", place)
        if len(value) < self.least:
            raise Misfit("must not be empty" if self.least == 1 else "is too short", place)
        if self.pattern and not re.fullmatch(self.pattern, value):
            raise Misfit(f"must be such as {self.example}", place)

    @property
    def schema(self) -> dict[str, Any]:
        if self.known:
            return {"type": "string", "enum": [*self.known]}
        told: dict[str, Any] = {"type": "string", "maxLength": self.most}
        if self.least:
            told["minLength"] = self.least
        if self.pattern:
            told["pattern"] = f"^(?:{self.pattern})$"
        return told


@dataclass(frozen=True, slots=True)
class Number:
    least: float
    most: float
    whole: bool = True

    def check(self, value: Any, place: Place = ()) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool)
        if not fits or (self.whole and not isinstance(value, int)):
            raise Misfit("must be a whole number" if self.whole else "must be a number", place)
        if not self.least <= value <= self.most:
            raise Misfit(f"must be from {self.least:g} to {self.most:g}", place)

    @property
    def schema(self) -> dict[str, Any]:
        kind = "integer" if self.whole else "number"
        return {"type": kind, "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Flag:
    def check(self, value: Any, place: Place = ()) -> None:
        if not isinstance(value, bool):
            raise Misfit("must be true or false", place)

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    of: Structure
    most: int = 1_000

    def check(self, value: Any, place: Place = ()) -> None:
        if not isinstance(value, list | tuple):
            raise Misfit("must be a list", place)
        if len(value) > self.most:
            raise Misfit(f"has over {self.most} items", place)
        for index, item in enumerate(value):
            self.of.check(item, (*place, str(index)))

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "array", "items": self.of.schema, "maxItems": self.most}


@dataclass(frozen=True, slots=True)
class OwnWords:
    """A mapping whose words are a person's own."""

    of: Structure
    most: int = 1_000

    def check(self, value: Any, place: Place = ()) -> None:
        if not isinstance(value, Mapping):
            raise Misfit("must be a mapping", place)
        if len(value) > self.most:
            raise Misfit(f"has over {self.most} words", place)
        for name, inner in value.items():
            _NAME.check(name, place)
            self.of.check(inner, (*place, name))

    @property
    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "additionalProperties": self.of.schema,
            "maxProperties": self.most,
        }


@dataclass(frozen=True, slots=True)
class KnownWords:
    """A mapping of these words. `also` raises Misfit for words that do not go together."""

    words: Mapping[str, Structure]
    needs: tuple[str, ...] = ()
    also: Callable[[Mapping[str, Any], Place], None] | None = None

    def check(self, value: Any, place: Place = ()) -> None:
        if not isinstance(value, Mapping):
            raise Misfit(f"must be a mapping with {', '.join(self.words)}", place)
        for name, inner in value.items():
            if name not in self.words:
                hint = guess(str(name), tuple(self.words), "known are")
                raise Misfit(f"unknown word {str(name)[:60]!r}; {hint}", (*place, str(name)[:60]))
            self.words[name].check(inner, (*place, name))
        if missing := [name for name in self.needs if name not in value]:
            raise Misfit(f"needs {' and '.join(missing)}", place)
        if self.also is not None:
            self.also(value, place)

    @property
    def schema(self) -> dict[str, Any]:
        told: dict[str, Any] = {
            "type": "object",
            "properties": {name: inner.schema for name, inner in self.words.items()},
            "additionalProperties": False,
        }
        return told | ({"required": [*self.needs]} if self.needs else {})


@dataclass(frozen=True, slots=True)
class Either:
    """One of these structures; `choose` says which by a look at the value."""

    choices: Sequence[Structure]
    choose: Callable[[Any], Structure] = field(kw_only=True)

    def check(self, value: Any, place: Place = ()) -> None:
        self.choose(value).check(value, place)

    @property
    def schema(self) -> dict[str, Any]:
        return {"anyOf": [choice.schema for choice in self.choices]}


@dataclass(frozen=True, slots=True)
class OrNull:
    of: Structure

    def check(self, value: Any, place: Place = ()) -> None:
        if value is not None:
            self.of.check(value, place)

    @property
    def schema(self) -> dict[str, Any]:
        return {"anyOf": [self.of.schema, {"type": "null"}]}


def text_or(mapping: Structure, text: Structure) -> Either:
    return Either((text, mapping), choose=lambda value: text if isinstance(value, str) else mapping)


def guess(given: str, known: Sequence[str], otherwise: str) -> str:
    """What was perhaps meant."""
    near = difflib.get_close_matches(given, known, n=1)
    return f"did you mean {near[0]}?" if near else f"{otherwise} {', '.join(known)}"


def _check_characters(text: str, place: Place) -> None:
    if "\0" in text:
        raise Misfit("holds a NUL character, which cannot be stored", place)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Misfit("holds half a character, which cannot be stored", place)


_NAME = Words()
