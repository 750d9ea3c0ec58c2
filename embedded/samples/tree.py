"""The sample hosts' files: the same bytes and times whenever they are made."""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path

LARGE_BYTES = 8 * 1024 * 1024
_EPOCH = 1_704_067_200  # 2024-01-01T00:00:00Z; each file is an hour younger than the one before
_WORDS = ["pump", "valve", "sensor", "line", "batch", "order", "site", "report", "crate", "river"]


def make(folder: Path, seed: str) -> int:
    """Makes the tree that belongs to the seed where it is missing; the number of its files."""
    count = 0
    for count, (name, content) in enumerate(_files(random.Random(seed)), start=1):  # noqa: S311
        path = folder / name
        mtime = _EPOCH + count * 3600
        if path.is_file():
            stat = path.stat()
            if stat.st_size == len(content) and int(stat.st_mtime) == mtime:
                continue
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.partial")
        partial.write_bytes(content)
        os.utime(partial, (mtime, mtime))
        partial.replace(path)
    return count


def _files(source: random.Random) -> Iterator[tuple[str, bytes]]:
    for number in range(1, 41):
        yield f"reports/2026-{number % 12 + 1:02}/report {number:03}.txt", _text(source)
    for number in range(1, 31):
        yield f"exports/orders-{number:03}.csv", _csv(source, number)
    for number in range(1, 31):
        yield f"devices/site {number % 5 + 1}/device-{number:03}.json", _json(source, number)
    for number in range(1, 14):
        yield f"images/scan-{number:03}.bin", source.randbytes(source.randrange(60_000, 220_000))
    yield "notes/Überblick größe.txt", "Größe, Maß, Öl: 12 µm\n".encode()
    yield "notes/報告 東京.txt", "毎日の報告\n".encode()
    yield "notes/naïve café.md", "# Café\n\nUn résumé naïf.\n".encode()
    yield "notes/Отчёт за март.csv", "дата;сумма\n2026-03-31;100\n".encode()
    yield "notes/empty.txt", b""
    yield "README.txt", b"A sample host of SyncProject. Nothing here is anybody's data.\n"
    yield "archive/measurements.dat", source.randbytes(LARGE_BYTES)


def _text(source: random.Random) -> bytes:
    lines = (" ".join(source.choices(_WORDS, k=12)).capitalize() + "." for _ in range(120))
    return "\n".join(lines).encode() + b"\n"


def _csv(source: random.Random, number: int) -> bytes:
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["order", "article", "pieces", "price"])
    for line in range(800):
        price = f"{source.randrange(100, 99_999) / 100:.2f}"
        table.writerow(
            [number * 1000 + line, source.choice(_WORDS), source.randrange(1, 50), price]
        )
    return text.getvalue().encode()


def _json(source: random.Random, number: int) -> bytes:
    readings = [
        {"at": _EPOCH + step * 60, "value": source.randrange(100_000) / 1000} for step in range(300)
    ]
    device = {"device": f"device-{number:03}", "kind": source.choice(_WORDS), "readings": readings}
    return json.dumps(device, indent=1).encode() + b"\n"
