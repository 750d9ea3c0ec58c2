"""Which listed files a job wants: patterns, extensions, size, age.

Globs are matched against the whole path below the root: `*` and `?` stay within a component, `**`
spans components, `[...]` is a class. A pattern without a slash matches the name at any depth. A pattern
that begins with `re:` is a regular expression, matched against the whole path.

`filters` is the ordered form: each rule is `+ pattern` or `- pattern`, and the first that matches
decides. Where none does, `exclude` and then `include` decide.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from syncjobs.core.markers import DonePattern, parse_done_pattern

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
    def done(self) -> DonePattern | None:
        return parse_done_pattern(self.done_pattern) if self.done_pattern else None

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
        for rule in self.filters:
            if compile_glob(rule[2:]).match(path):
                return None if rule.startswith("+ ") else Exclusion("filters", rule)
        for pattern in self.exclude:
            if compile_glob(pattern).match(path):
                return Exclusion("exclude", pattern)
        if self.include and not any(compile_glob(glob).match(path) for glob in self.include):
            return Exclusion("include", "no include pattern matches")
        return None


def check_filter(rule: str) -> None:
    """Raises ValueError for what is no rule of `filters`."""
    if not rule.startswith(("+ ", "- ")) or not rule[2:].strip():
        raise ValueError(f"{rule!r}: a filter is '+ pattern' or '- pattern'")
    compile_glob(rule[2:])


@lru_cache(maxsize=1024)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """Raises ValueError for what is no pattern."""
    if pattern.startswith("re:"):
        try:
            return re.compile(rf"(?s:{pattern[3:]})\Z")
        except re.error as exc:
            raise ValueError(f"{pattern!r}: {exc}") from None
    pattern = pattern.removeprefix("./").removeprefix("/")
    prefix = "" if "/" in pattern else "(?:.*/)?"
    try:
        return re.compile(rf"(?s:{prefix}{''.join(_pieces(pattern))})\Z")
    except re.error as exc:
        raise ValueError(f"{pattern!r}: {exc}") from None


# `**/` is any folders only where a name begins; `a**/b` is `a`, anything, `/b`.
_TOKEN = re.compile(r"(?<![^/])\*\*/|/\*\*\Z|\*\*|\*|\?|\[[!^]?\]?[^\]]*\]|\[|.", re.DOTALL)


_SPANS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*"}


def _pieces(pattern: str) -> list[str]:
    """Expressions of a glob's tokens. A `*` that another star follows takes the first place where what
    stands between them fits and never looks back (as in the standard library's fnmatch), so that a
    pattern with many stars cannot hold up a worker.
    """
    pieces: list[str] = []
    star: int | None = None  # where the latest `*` stands, while only plain tokens have followed
    for token in _TOKEN.findall(pattern):
        if token in _SPANS or token == "*":  # noqa: S105 — a glob, no password
            # Before a slash that ends the folder there is one place only, and it may not be the first.
            if star is not None and token != "/**":  # noqa: S105
                pieces[star:] = [f"(?>[^/]*?{''.join(pieces[star + 1 :])})"]
            star = len(pieces) if token == "*" else None  # noqa: S105
            pieces.append("[^/]*" if token == "*" else _SPANS[token])  # noqa: S105
        elif token == "?":  # noqa: S105
            pieces.append("[^/]")
        elif token == "[":  # noqa: S105
            raise ValueError(f"{pattern!r}: '[' is never closed")
        elif token.startswith("[") and len(token) > 1:
            inner = token[1:-1].replace("\\", "\\\\").replace("[", "\\[")
            if inner.startswith("!"):
                inner = f"^{inner[1:]}"
            pieces.append(f"(?!/)[{inner}]")
        else:
            pieces.append(re.escape(token))
    return pieces
