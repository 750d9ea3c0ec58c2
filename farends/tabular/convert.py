"""A process of its own: makes a CSV of a Parquet or Excel file. Whatever such a file does to the library that reads
it, it does to this process, whose memory and time are limited.

usage: python -m farends.tabular.convert FORMAT PATH SHEET. It writes the CSV to standard output, with a header; what is
wrong goes to standard error, in one line.
"""

from __future__ import annotations

import json
import sys
import zipfile
from typing import Any

import duckdb
from python_calamine import CalamineWorkbook

from children.limits import ProcessLimits, limit_process

UNPACKED_BYTES_MAX = 1 << 30  # of all parts of a Parquet or Excel file
_LIMITS = ProcessLimits(address_bytes=2 << 30, cpu_s=3600)


def convert_asked() -> int:
    kind, path, sheet = sys.argv[1:4]
    limit_process(_LIMITS)
    try:
        if kind == "parquet":
            _write_parquet(path)
        else:
            _write_excel(path, sheet or None)
    except MemoryError:
        sys.stderr.write("It needs more memory than is allowed.\n")
        return 3
    except Exception as exc:  # noqa: BLE001 — a foreign library's, whatever it is
        sys.stderr.write(f"{type(exc).__name__}: {exc}".splitlines()[0][:500] + "\n")
        return 1
    return 0


_TYPES = {
    "BOOLEAN": "boolean", "TINYINT": "smallint", "SMALLINT": "smallint", "INTEGER": "integer", "BIGINT": "bigint",
    "UTINYINT": "smallint", "USMALLINT": "integer", "UINTEGER": "bigint", "UBIGINT": "numeric", "HUGEINT": "numeric",
    "UHUGEINT": "numeric", "FLOAT": "real", "DOUBLE": "double precision", "DATE": "date", "TIME": "time without time zone",
    "TIMESTAMP": "timestamp without time zone", "TIMESTAMP_S": "timestamp without time zone",
    "TIMESTAMP_MS": "timestamp without time zone", "TIMESTAMP WITH TIME ZONE": "timestamp with time zone",
    "UUID": "uuid", "INTERVAL": "interval", "BLOB": "bytea",
}  # fmt: skip


def _write_parquet(path: str) -> None:
    """Its types go to standard error, as JSON."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "threads": 1,
        "memory_limit": "512MB",
        "autoinstall_known_extensions": "false",
    }
    with duckdb.connect(config=config) as session:
        session.execute("SET TimeZone='UTC'")
        described = session.execute("DESCRIBE SELECT * FROM read_parquet($1)", [path]).fetchall()
        columns = [(str(name), str(kind)) for name, kind, *_ in described]
        sys.stderr.write(json.dumps({name: _type_of(kind) for name, kind in columns}))
        shown = ", ".join(_show(name, kind) for name, kind in columns)
        texts = ", ".join(_quote(name) for name, kind in columns if _type_of(kind) == "text")
        force = f", FORCE_QUOTE ({texts})" if texts else ""
        session.execute(
            f"COPY (SELECT {shown} FROM read_parquet('{path}')) TO '/dev/stdout'"  # noqa: S608 — our own path
            f" (FORMAT csv, HEADER true, NULLSTR ''{force})"
        )


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def _type_of(kind: str) -> str:
    if kind.startswith("DECIMAL"):
        return kind.lower().replace("decimal", "numeric")
    return "jsonb" if _is_nested(kind) else _TYPES.get(kind, "text")


def _show(name: str, kind: str) -> str:
    quoted = _quote(name)
    if _is_nested(kind):
        return f"to_json({quoted})::VARCHAR AS {quoted}"
    return f"'\\x' || hex({quoted}) AS {quoted}" if kind == "BLOB" else quoted


def _write_excel(path: str, sheet: str | None) -> None:
    with zipfile.ZipFile(path) as parts:
        unpacked = sum(part.file_size for part in parts.infolist())
    if unpacked > UNPACKED_BYTES_MAX:
        raise MemoryError
    workbook = CalamineWorkbook.from_path(path)
    if sheet is not None and sheet not in workbook.sheet_names:
        raise ValueError(f"it has no sheet {sheet}; it has {', '.join(workbook.sheet_names)[:300]}")
    found = workbook.get_sheet_by_name(sheet) if sheet else workbook.get_sheet_by_index(0)
    for row in found.iter_rows():
        cells = [_cell(value) for value in row]
        sys.stdout.write((",".join(cells) if any(cells) else "") + "\n")  # an empty row is none


def _cell(value: Any) -> str:
    if value == "" or value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _number(value)
    return '"' + str(value).replace('"', '""') + '"'


def _number(value: float) -> str:
    """As Excel shows it, which has 15 digits."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    shown = f"{value:.15g}"
    return shown if "e" not in shown else f"{value:f}".rstrip("0").rstrip(".")


if __name__ == "__main__":
    sys.exit(convert_asked())
