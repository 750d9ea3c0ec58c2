"""Decides which listed files a job wants: patterns (`syncjobs.core.patterns`), extensions, size, age.

`filters` is the ordered form: each rule is `+ pattern` or `- pattern`, and the first that matches
decides. Where none does, `exclude` and then `include` decide.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from syncjobs.core.markers import DonePattern, parse_done_pattern
from syncjobs.core.patterns import InvalidPattern, Matcher, parse_pattern

# Rules that leave out a file by what it is like today, with the code that tells of it: what is held of
# such a file stays.
LIMITS = {"max_file_size_bytes": "too_large", "max_age_s": "too_old"}


MARKER = "marker"


class Exclusion(NamedTuple):
    """Why a file is left out: the rule and its own words."""

    rule: str
    detail: str


@dataclass(frozen=True)
class Selection:
    """Empty lists and None select everything; `exclude` wins over `include`."""

    filters: tuple[str, ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    extensions: tuple[str, ...] = ()
    max_file_size_bytes: int | None = None
    max_age_s: int | None = None
    done_pattern: str = ""
    apart: str = ""  # a folder below the root that is never listed: where synced files are moved to

    @cached_property
    def selects_all(self) -> bool:
        return self == Selection()

    @cached_property
    def _extensions(self) -> tuple[str, ...]:
        return tuple(f".{extension.lstrip('.').lower()}" for extension in self.extensions)

    @cached_property
    def _filters(self) -> tuple[tuple[Matcher, str], ...]:
        return tuple((parse_pattern(rule[2:]), rule) for rule in self.filters)

    @cached_property
    def _include(self) -> tuple[Matcher, ...]:
        return tuple(parse_pattern(pattern) for pattern in self.include)

    @cached_property
    def _exclude(self) -> tuple[tuple[Matcher, str], ...]:
        return tuple((parse_pattern(pattern), pattern) for pattern in self.exclude)

    @cached_property
    def done(self) -> DonePattern | None:
        return parse_done_pattern(self.done_pattern) if self.done_pattern else None

    def check(self) -> None:
        """Raises InvalidPattern, where a rule was stored before it was refused."""
        _ = self._filters, self._include, self._exclude

    def find_exclusion(
        self, path: str, size_bytes: int | None, age_s: float | None = None
    ) -> Exclusion | None:
        """Why this file is not wanted, or None where it is. An unknown size or age excludes nothing."""
        if self.selects_all:
            return None
        if self.apart and path.startswith(f"{self.apart}/"):
            return Exclusion("apart", "lies where synced files are moved to")
        if self.done is not None and self.done.is_marker(path):
            return Exclusion(MARKER, "says that others are complete")
        if excluded := self._find_pattern(path):
            return excluded
        if self._extensions and not path.lower().endswith(self._extensions):
            return Exclusion("extension", "the extension is not among those selected")
        limit = self.max_file_size_bytes
        if limit is not None and size_bytes is not None and size_bytes > limit:
            return Exclusion("max_file_size_bytes", f"{size_bytes} bytes, over {limit}")
        if self.max_age_s is not None and age_s is not None and age_s > self.max_age_s:
            return Exclusion("max_age_s", f"{age_s:.0f} s old, over {self.max_age_s}")
        return None

    def _find_pattern(self, path: str) -> Exclusion | None:
        for matches, rule in self._filters:
            if matches(path):
                return None if rule.startswith("+ ") else Exclusion("filters", rule)
        for matches, pattern in self._exclude:
            if matches(path):
                return Exclusion("exclude", pattern)
        for included in self._include:
            if included(path):
                return None
        return Exclusion("include", "no include pattern matches") if self.include else None


def check_filter(rule: str) -> None:
    """Raises InvalidPattern for what is no rule of `filters`."""
    if not rule.startswith(("+ ", "- ")) or not rule[2:].strip():
        raise InvalidPattern(f"{rule!r}: a filter is '+ pattern' or '- pattern'")
    parse_pattern(rule[2:])
