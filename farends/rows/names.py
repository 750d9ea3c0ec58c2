"""Names of tables and columns at the destination, from what a source calls them. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

NAME_BYTES_MAX = 63  # PostgreSQL's NAMEDATALEN - 1
# PostgreSQL has these columns itself in each table.
_SYSTEM = frozenset({"tableoid", "ctid", "xmin", "cmin", "xmax", "cmax"})


def make_name(name: str) -> str:
    """The name itself where PostgreSQL takes it; else cut at a character's border, with 8 hex digits of the
    SHA-256 of the whole. NUL, which no name may hold, becomes U+F000."""
    made = name.replace("\0", "\uf000") or "_"
    if made in _SYSTEM:
        made += "_"
    if len(made.encode()) <= NAME_BYTES_MAX:
        return made
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    cut = made.encode()[: NAME_BYTES_MAX - 9].decode(errors="ignore")
    return f"{cut}_{digest}"


def make_names(names: Iterable[str], taken: Iterable[str] = ()) -> dict[str, str]:
    """A name for each, no two alike; `taken` are the destination's own."""
    used = set(taken)
    made = {}
    for name in names:
        found, number = make_name(name), 2
        while found in used:
            found = make_name(f"{name}_{number}")
            number += 1
        used.add(found)
        made[name] = found
    return made
