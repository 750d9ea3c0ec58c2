"""Globs over URIs. Matching costs one step for each character of the URI, whatever pattern and URI are. Pure."""

from __future__ import annotations

import re

GLOB_MAX = 1_000
_TOKEN = re.compile(r"\*\*+|\*|\?|[^*?]", re.DOTALL)


class UriGlob:
    """`?` and `*` stand for characters other than `/`, `**` for any. Raises ValueError.

    Each part of the pattern is a bit; a set bit says that the URI so far can have come to that part.
    """

    def __init__(self, pattern: str) -> None:
        if not pattern or len(pattern) > GLOB_MAX:
            raise ValueError(f"a glob has 1 to {GLOB_MAX} characters")
        parts = _TOKEN.findall(pattern)
        self._moves: dict[str, int] = {}  # by character: the parts that it is
        self._any_move = self._any_stay = self._stay = 0
        self._skips = 0  # parts that may stand for nothing
        for place, part in enumerate(parts):
            bit = 1 << place
            if part[0] == "*":
                self._skips |= bit
                if len(part) > 1:
                    self._any_stay |= bit
                else:
                    self._stay |= bit
            elif part == "?":
                self._any_move |= bit
            else:
                self._moves[part] = self._moves.get(part, 0) | bit
        self._end = 1 << len(parts)

    def matches(self, uri: str) -> bool:
        at = self._skip(1)
        for character in uri:
            stay, move = self._any_stay, self._moves.get(character, 0)
            if character != "/":
                stay, move = stay | self._stay, move | self._any_move
            at = self._skip(at & stay | (at & move) << 1)
            if not at:
                return False
        return bool(at & self._end)

    def _skip(self, at: int) -> int:
        """Also what lies behind parts that stand for nothing; no two of those follow each other without end."""
        while (further := at | (at & self._skips) << 1) != at:
            at = further
        return at
