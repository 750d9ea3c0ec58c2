"""Types of MySQL and MariaDB: which PostgreSQL type holds each value, and how the server writes a cell of COPY.

The server makes the text form of COPY itself, escapes included. Two cells are marks for us, because COPY has no word
for them: the escapes of text double each backslash, so no text begins with one alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

ZERO = rb"\Z"  # a date of zeros, which becomes NULL and is counted

_FRACTION = re.compile(r"\.[0-9]+(?![0-9])")
_JSON = re.compile(r"json_valid\s*\(", re.IGNORECASE)
_WHOLE = {
    "tinyint": ("smallint", "smallint"),  # also tinyint(1), which holds 2 and -1
    "smallint": ("smallint", "integer"),
    "mediumint": ("integer", "integer"),
    "int": ("integer", "bigint"),
    "bigint": ("bigint", "numeric(20,0)"),
}
_TEXTS = frozenset({"char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set"})
_BYTES = frozenset({"binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"})
_SHAPES = frozenset(
    {
        "geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
        "geometrycollection", "geomcollection",
    }
)  # fmt: skip
_MOMENTS = frozenset({"date", "datetime", "timestamp"})
_RESUMABLE = frozenset({*_WHOLE, "decimal", "date", "datetime", "timestamp", "char", "varchar", "binary", "varbinary", "year"})  # fmt: skip
_NUMBERS = frozenset({*_WHOLE, "decimal", "year", "float", "double"})


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def literal(text: str) -> str:
    """Text as SQL, under an `sql_mode` in which the backslash escapes. NUL and Ctrl-Z are escaped as well."""
    escaped = (
        text.replace("\\", "\\\\").replace("'", "\\'").replace("\0", "\\0").replace("\x1a", "\\Z")
    )
    return f"'{escaped}'"


@dataclass(frozen=True, slots=True)
class MysqlColumn:
    """A column as `information_schema` tells it. `checks`: its own CHECK constraints."""

    name: str
    data_type: str
    column_type: str
    is_nullable: bool
    precision: int | None
    scale: int | None
    checks: str = ""

    @property
    def type(self) -> str:
        if self.is_json:
            return "jsonb"
        if self.data_type in _WHOLE:
            signed, unsigned = _WHOLE[self.data_type]
            return unsigned if "unsigned" in self.column_type else signed
        if self.data_type == "decimal":
            return f"numeric({self.precision},{self.scale})"
        if self.data_type == "bit":
            return "boolean" if self.precision == 1 else f"bit({self.precision})"
        if self.data_type in _BYTES:
            return "bytea"
        return _PLAIN.get(self.data_type, "text")

    @property
    def is_json(self) -> bool:
        return self.data_type == "json" or (
            self.data_type == "longtext" and bool(_JSON.match(self.checks.strip()))
        )

    @property
    def is_moment(self) -> bool:
        return self.data_type in _MOMENTS

    @property
    def counts_up(self) -> bool:
        return self.data_type in ("int", "bigint")

    @property
    def resumes(self) -> bool:
        """Whether its order is the order of its text's value, so that a reading goes on behind a value."""
        return self.data_type in _RESUMABLE

    @property
    def cell(self) -> str:
        """The expression of the cell; NULL for NULL."""
        name = quote(self.name)
        if self.data_type in _CELLS:
            return _CELLS[self.data_type](name)
        if self.data_type in _BYTES:
            return f"CONCAT('{_BACKSLASH * 4}x', HEX({name}))"
        if self.data_type == "bit":
            if self.precision == 1:
                return f"ELT({name} + 1, 'f', 't')"
            return f"LPAD(BIN({name} + 0), {self.precision}, '0')"
        if self.data_type in _WHOLE or self.data_type in ("decimal", "double", "time", "year"):
            return name
        if self.data_type in _SHAPES:
            return f"ST_AsText({name})"
        return _escaped(name)

    def write(self, text: str) -> str:
        """A value of it as SQL, from the text of its cell."""
        if self.data_type in _NUMBERS and re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
            return text
        if self.data_type in _BYTES:
            return f"X'{text.removeprefix(_BACKSLASH + 'x')}'" if _is_hex(text) else literal(text)
        if self.data_type == "timestamp":
            return literal(re.sub(r"\+00(:00)?\Z", "", text))
        return literal(text)

    def show(self, cell: str | None) -> str | None:
        """The cell as PostgreSQL prints the value."""
        if cell is None or cell == ZERO.decode():
            return None
        if self.data_type in ("datetime", "timestamp", "time"):
            return _FRACTION.sub(lambda found: found[0].rstrip("0").rstrip("."), cell)
        return cell


_BACKSLASH = "\\"
_PLAIN = {
    "float": "real",
    "double": "double precision",
    "date": "date",
    "datetime": "timestamp without time zone",
    "timestamp": "timestamp with time zone",
    "time": "interval",
    "year": "smallint",
    "uuid": "uuid",
}
_CELLS: dict[str, Callable[[str], str]] = {
    "float": lambda name: f"({name} + 0e0)",  # as text it has six digits, and more are in it
    "date": lambda name: f"IF({name} = 0, '\\\\Z', {name})",
    "datetime": lambda name: f"IF({name} = 0, '\\\\Z', {name})",
    "timestamp": lambda name: f"IF({name} = 0, '\\\\Z', CONCAT({name}, '+00'))",
}


def _escaped(name: str) -> str:
    text = f"CONVERT({name} USING utf8mb4)"
    for raw, escape in ((r"\\", r"\\\\"), (r"\t", r"\\t"), (r"\n", r"\\n"), (r"\r", r"\\r")):
        text = f"REPLACE({text}, '{raw}', '{escape}')"
    return text


def _is_hex(text: str) -> bool:
    return bool(re.fullmatch(r"\\x([0-9A-Fa-f]{2})*", text))


def make_line(columns: list[MysqlColumn]) -> str:
    """The expression of a whole row in the text form of COPY, with its line end."""
    cells = [f"IFNULL({column.cell}, '\\\\N')" for column in columns]
    return "CONCAT(" + ", '\\t', ".join(cells) + ", '\\n')"
