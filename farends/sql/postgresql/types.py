"""Which types of PostgreSQL another PostgreSQL holds as they are."""

from __future__ import annotations

# Their binary form has been the same since PostgreSQL 9, and depends on no setting.
_BINARY_SAFE = frozenset(
    {
        "bool", "int2", "int4", "int8", "float4", "float8", "numeric", "text", "varchar", "bpchar", "bytea",
        "date", "time", "timetz", "timestamp", "timestamptz", "interval", "uuid", "json", "jsonb", "inet", "cidr",
        "macaddr", "macaddr8", "bit", "varbit", "oid", "name", "char",
    }
)  # fmt: skip
# Others whose text is the value. `reg…` and `aclitem` name objects that are not at the destination, and a server may
# be built without `xml`.
_HELD = _BINARY_SAFE | {
    "money", "jsonpath", "point", "line", "lseg", "box", "path", "polygon", "circle", "tsvector", "tsquery",
    "pg_lsn", "xid8", "int4range", "int8range", "numrange", "tsrange", "tstzrange", "daterange", "int4multirange",
    "int8multirange", "nummultirange", "tsmultirange", "tstzmultirange", "datemultirange",
}  # fmt: skip


def name_held_type(name: str, formatted: str) -> str | None:
    """`name` is the `typname` of a built-in type, or of an array of one; None: its text is held instead."""
    return formatted if name.removeprefix("_") in _HELD else None


def is_binary_safe(name: str) -> bool:
    return name.removeprefix("_") in _BINARY_SAFE
