"""What reading a document finds: what is wrong, each with the path to where it stands, and what each part of it changed."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import models

from syncjobs.configuration.connectors import find_problems

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Mistake:
    """`path` leads to the value: ("workspaces", 0, "connectors", 2, "port")."""

    path: Path
    message: str
    conflicts: bool = False  # it would fit, were it not for what is stored


class InvalidConfiguration(Exception):
    """No part of the document was written; `problems` says why."""

    def __init__(self, problems: list[Mistake]) -> None:
        super().__init__("; ".join(problem.message for problem in problems))
        self.problems = problems

    def by_field(self) -> dict[str, list[str]]:
        """Returns what is wrong, by field; nested ones with dots, and `body` for the whole."""
        errors: dict[str, list[str]] = {}
        for wrong in self.problems:
            errors.setdefault(".".join(map(str, wrong.path)) or "body", []).append(wrong.message)
        return errors


@dataclass(frozen=True, slots=True)
class Change:
    """What applying did to one object. `action` is created, changed or unchanged."""

    action: str
    noun: str
    name: str
    fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()  # what a person should know of it


class Findings:
    """`tell` hears of each change as it comes."""

    def __init__(self, tell: Callable[[Change], None]) -> None:
        self.problems: list[Mistake] = []
        self.changes: list[Change] = []
        self._tell = tell

    def clean(self, row: models.Model, path: Path, exclude: Iterable[str] = ()) -> bool:
        problems = find_problems(row, exclude)
        for inner, message in problems:
            self.problem((*path, *inner), message)
        return not problems

    def mapping(self, given: Any, path: Path, known: tuple[str, ...]) -> Mapping[str, Any]:
        if not isinstance(given, Mapping):
            self.problem(path, f"must be a mapping with {', '.join(known)}")
            return {}
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(str(name), known, n=1)
                hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
                self.problem((*path, name), f"unknown word {name!r}; {hint}")
        return {name: value for name, value in given.items() if name in known}

    def items(self, fields: Mapping[str, Any], name: str, path: Path) -> list[tuple[Path, Any]]:
        given = fields.get(name) or []
        if not isinstance(given, list):
            self.problem((*path, name), f"{name} must be a list")
            return []
        return [((*path, name, index), item) for index, item in enumerate(given)]

    def name(self, fields: Mapping[str, Any], path: Path) -> str | None:
        if any(problem.path == (*path, "name") for problem in self.problems):
            return None  # it is told already
        if not fields.get("name"):
            self.problem(path, "name is required")
            return None
        return str(fields["name"])

    def note(
        self,
        noun: str,
        name: str,
        *,
        created: bool,
        fields: Iterable[str],
        notes: Iterable[str] = (),
    ) -> None:
        changed = tuple(sorted(fields))
        action = "created" if created else "changed" if changed else "unchanged"
        shown = () if created else changed
        self.changes.append(Change(action, noun, name, shown, tuple(notes)))
        self._tell(self.changes[-1])

    def problem(self, path: Path, message: str) -> None:
        self.problems.append(Mistake(path, message))


def own_fields_of(row: models.Model, fields: Iterable[str]) -> dict[str, Any]:
    return {field: getattr(row, field) for field in fields if field in row.__dict__}


def list_changed(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    names = {"connector_id": "connector", "source_dataset_id": "connector"}
    changed = [names.get(name, name) for name in after if after[name] != before.get(name)]
    return list(dict.fromkeys(changed))
