"""A process of its own: makes a CSV of an Excel file. Whatever such a file does to the library that reads
it, it does to this process, whose memory and time are limited.

usage: python -m farends.tabular.convert FORMAT PATH SHEET. It writes the CSV to standard output, with a header; what is
wrong goes to standard error, in one line.
"""

from __future__ import annotations

import resource
import sys
import zipfile
from typing import Any

from python_calamine import CalamineWorkbook

MEMORY_BYTES = 2 << 30
UNPACKED_BYTES_MAX = 1 << 30  # of all parts of an Excel file
_CPU_S = 3600


def main() -> int:
    _, path, sheet = sys.argv[1:4]
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        _write_excel(path, sheet or None)
    except MemoryError:
        sys.stderr.write("It needs more memory than is allowed.\n")
        return 3
    except Exception as exc:  # noqa: BLE001 — a foreign library's, whatever it is
        sys.stderr.write(f"{type(exc).__name__}: {exc}".splitlines()[0][:500] + "\n")
        return 1
    return 0


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
    sys.exit(main())
