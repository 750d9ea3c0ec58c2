"""What a job says of the files that it reads as one table."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any


class FileFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"
    XLSX = "xlsx"


_BY_SUFFIX = {
    ".csv": FileFormat.CSV,
    ".tsv": FileFormat.CSV,
    ".txt": FileFormat.CSV,
    ".jsonl": FileFormat.JSONL,
    ".ndjson": FileFormat.JSONL,
    ".parquet": FileFormat.PARQUET,
    ".xlsx": FileFormat.XLSX,
}
_TYPES = {
    "bool": "boolean",
    "boolean": "boolean",
    "smallint": "smallint",
    "int2": "smallint",
    "int": "integer",
    "int4": "integer",
    "integer": "integer",
    "bigint": "bigint",
    "int8": "bigint",
    "numeric": "numeric",
    "decimal": "numeric",
    "real": "real",
    "float4": "real",
    "float8": "double precision",
    "double precision": "double precision",
    "text": "text",
    "date": "date",
    "time": "time without time zone",
    "time without time zone": "time without time zone",
    "timestamp": "timestamp without time zone",
    "timestamp without time zone": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
    "timestamp with time zone": "timestamp with time zone",
    "interval": "interval",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "jsonb",
    "inet": "inet",
}
_SIZED = re.compile(
    r"(numeric|decimal|varchar|character varying)\s*\(\s*([0-9]{1,8})\s*(?:,\s*([0-9]{1,4})\s*)?\)"
)
_FIELDS = frozenset(
    {"path", "format", "delimiter", "quote", "header", "nulls", "sheet", "types", "encoding"}
)


class InvalidEntity(ValueError):
    """An `entity` that says no files to read, or says it wrongly. `field` is at fault."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field


@dataclass(frozen=True, slots=True)
class TabularEntity:
    """`path` is a glob; the files that it matches are one table, in the order of their paths.

    `delimiter`: None: found out for each file. `quote`: empty: there is none. `nulls` are the texts that mean NULL
    where they stand without quotes. `types` are of columns that the reader shall not find out himself.
    """

    path: str
    format: FileFormat
    delimiter: str | None = None
    quote: str = '"'
    header: bool = True
    nulls: tuple[str, ...] = ("",)
    sheet: str | None = None
    types: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None  # None: UTF-8, or what a byte order mark says

    @property
    def name(self) -> str:
        """The table's, where a job names none: `2026/orders-*.csv` is `orders`."""
        last = PurePosixPath(self.path).name
        plain = re.split(r"[*?\[]", last)[0] or re.split(r"[*?\[]", self.path)[0]
        return PurePosixPath(plain.rstrip("/")).stem.rstrip("-_. ") or "rows"


def parse_entity(given: Mapping[str, Any]) -> TabularEntity:
    """Raises InvalidEntity."""
    if unknown := sorted(set(given) - _FIELDS):
        words = f"no such field; there are {', '.join(sorted(_FIELDS))}"
        raise InvalidEntity(unknown[0], words)
    path = _read_text(given, "path") or f"*.{_read_format(given, '')}"
    delimiter, quote = _read_text(given, "delimiter"), _read_text(given, "quote", '"') or ""
    header = given.get("header", True)
    if not isinstance(header, bool):
        raise InvalidEntity("header", "must be true or false")
    _check_signs(delimiter, quote)
    return TabularEntity(
        path=path,
        format=_read_format(given, path),
        delimiter=delimiter,
        quote=quote,
        header=header,
        nulls=_read_nulls(given.get("nulls")),
        sheet=_read_text(given, "sheet"),
        types=_read_types(given.get("types")),
        encoding=_read_encoding(given),
    )


def _read_text(given: Mapping[str, Any], name: str, default: str | None = None) -> str | None:
    value = given.get(name, default)
    if value is not None and (not isinstance(value, str) or "\0" in value):
        raise InvalidEntity(name, "must be text")
    return value


def _check_signs(delimiter: str | None, quote: str) -> None:
    for name, sign in (("delimiter", delimiter), ("quote", quote)):
        if sign is None or (name == "quote" and not sign):
            continue
        if len(sign) != 1 or not sign.isascii() or sign in "\r\n\\" or sign.isalnum():
            raise InvalidEntity(name, "must be one ASCII character, and no letter or digit")
    if delimiter == quote:
        raise InvalidEntity("quote", "must differ from delimiter")


def _read_format(given: Mapping[str, Any], path: str) -> FileFormat:
    told = given.get("format")
    if told is None:
        suffix = PurePosixPath(path).suffix.lower()
        if suffix not in _BY_SUFFIX:
            raise InvalidEntity("format", f"is required, one of {', '.join(FileFormat)}")
        return _BY_SUFFIX[suffix]
    if told not in list(FileFormat):
        raise InvalidEntity("format", f"must be one of {', '.join(FileFormat)}")
    return FileFormat(told)


def _read_nulls(told: Any) -> tuple[str, ...]:
    if told is None:
        return ("",)
    if not isinstance(told, list | tuple) or not all(isinstance(one, str) for one in told):
        raise InvalidEntity("nulls", "must be a list of texts")
    if any(sign in one for one in told for sign in '\r\n"\0'):
        raise InvalidEntity("nulls", "a text must not have line ends or quotes")
    return tuple(dict.fromkeys(told))


def _read_types(told: Any) -> dict[str, str]:
    if told is None:
        return {}
    if not isinstance(told, Mapping):
        raise InvalidEntity("types", 'must be an object such as {"id": "bigint"}')
    return {str(name): _read_type(str(name), kind) for name, kind in told.items()}


def _read_type(name: str, kind: Any) -> str:
    words = " ".join(str(kind).lower().split())
    if words in _TYPES:
        return _TYPES[words]
    if sized := _SIZED.fullmatch(words):
        word = {"decimal": "numeric", "varchar": "character varying"}.get(sized[1], sized[1])
        if word == "numeric":
            return f"{word}({int(sized[2])},{int(sized[3] or 0)})"
        if sized[3] is None:
            return f"{word}({int(sized[2])})"
    raise InvalidEntity("types", f"{name}: no such type; there are {', '.join(sorted(_TYPES))}")


def _read_encoding(given: Mapping[str, Any]) -> str | None:
    told = _read_text(given, "encoding")
    if told is None:
        return None
    try:
        found = codecs.lookup(told)
    except LookupError:
        raise InvalidEntity("encoding", f"{told!r} is unknown") from None
    if not found._is_text_encoding:
        raise InvalidEntity("encoding", f"{told!r} is no encoding of text")
    return found.name
