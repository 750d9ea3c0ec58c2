"""Files that say that another file, or a whole folder, is complete.

A done pattern is the marker's name: with `{name}` (the file's name) or `{stem}` (without its last
extension) each file has a marker beside it, without either a folder has one for all files in it. Whatever
has the form of a marker is one, and is no data.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_FIELD = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class DonePattern:
    """`before` and `after` stand around the field; without a field `before` is the whole name."""

    before: str
    after: str = ""
    field: str = ""

    def is_marker(self, path: str) -> bool:
        name = path.rpartition("/")[2]
        if not self.field:
            return name == self.before
        return (
            len(name) > len(self.before) + len(self.after)
            and name.startswith(self.before)
            and name.endswith(self.after)
        )

    def marker_of(self, path: str) -> str:
        """The path of the marker that this file waits for."""
        folder, slash, name = path.rpartition("/")
        if self.field == "stem":
            stem, dot, _ = name.rpartition(".")
            name = stem if dot and stem else name
        return f"{folder}{slash}{self.before}{name if self.field else ''}{self.after}"


@lru_cache(maxsize=256)
def parse_done_pattern(text: str) -> DonePattern:
    """Raises ValueError for what names no marker."""
    if "/" in text or "\0" in text or text.strip() in ("", ".", ".."):
        raise ValueError(f"{text!r}: a marker is a name in the file's own folder, without a slash")
    fields = _FIELD.findall(text)
    if not fields:
        if "{" in text or "}" in text:
            raise ValueError(f"{text!r}: a brace without its counterpart")
        return DonePattern(text)
    if len(fields) > 1 or fields[0] not in ("name", "stem"):
        raise ValueError(f"{text!r}: give {{name}} or {{stem}}, once, or neither")
    before, after = text.split("{" + fields[0] + "}")
    if not before + after or re.search(r"[{}]", before + after):
        raise ValueError(f"{text!r}: with {{{fields[0]}}} alone every file would be a marker")
    return DonePattern(before, after, fields[0])
