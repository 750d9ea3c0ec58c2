"""Lists of a workspace's configuration that a floor above keeps, such as streams. Each announces itself at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workspaces.models import Workspace


class SectionRefused(Exception):
    """The entry does not fit. `errors` are words by field."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__("; ".join(errors))
        self.errors = dict(errors)


@dataclass(frozen=True, slots=True)
class SectionEntry:
    """What writing one entry did. `changed` names the fields that a stored one got anew."""

    created: bool
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """Stands in a told entry for a secret. `path` names it among all secrets."""

    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """One list of a workspace. `write` takes an entry by its name and may raise SectionRefused; it works in the
    caller's transaction, after the workspace's connectors were written. `tell` gives the entries as `write` takes
    them, but for a StoredSecret in the place of each secret."""

    name: str  # of the list
    noun: str
    fields: tuple[str, ...]
    write: Callable[[Workspace, str, Mapping[str, Any]], SectionEntry]
    tell: Callable[[Workspace], list[dict[str, Any]]]


_sections: dict[str, Section] = {}


def add_section(section: Section) -> None:
    _sections[section.name] = section


def all_sections() -> tuple[Section, ...]:
    return tuple(_sections.values())
