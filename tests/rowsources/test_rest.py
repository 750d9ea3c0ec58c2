"""An API as a source of rows: pages of five kinds, habits of real APIs, and what they must not be believed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.hosts.many_objects import PAGED, many_objects, sized
from tests.hosts.many_objects_server import make_object, write_object
from tests.hosts.scripted_api import Asked, scripted_api
from tests.rowsources.reading import opened, read_entity

BY_CURSOR: dict[str, Any] = {
    "path": "/items",
    "records": "data",
    "next": {"cursor": "data[-1].id", "param": "after", "more": "more"},
}
ONE_PAGE: dict[str, Any] = {"path": "/items", "records": "data"}


def objects(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


@pytest.mark.parametrize("way", PAGED)
def test_T17_every_way_of_paging_reads_each_object_once_and_exactly(
    way: str, tmp_path: Path
) -> None:
    count, size = 2_050, 100
    with many_objects(count, tmp_path) as host, opened(host.target()) as source:
        got = read_entity(source, sized(way, size))
        assert not source.drifted
        assert host.count_asked() <= -(-count // size) + 2
    assert [row["id"] for row in got.objects] == [f"cus_{n:08d}" for n in range(count)]
    for number, row in enumerate(got.objects):
        told = json.loads(write_object(number), parse_float=str, parse_int=str)
        for name in ("created", "serial", "amount", "email", "name", "updated"):
            assert row[name] == told[name]
        assert row["delinquent"] == (None if number % 3 else "true")
        assert json.loads(row["address"] or "") == make_object(number)["address"]
    assert got.types == {
        "id": "text", "created": "bigint", "email": "text", "name": "text", "serial": "bigint", "delinquent": "boolean",
        "metadata": "jsonb", "address": "jsonb", "updated": "timestamp with time zone", "amount": "numeric",
    }  # fmt: skip


def test_pages_whose_count_is_known_are_on_their_way_together(tmp_path: Path) -> None:
    waits: list[int] = []

    def answer(asked: Asked) -> Any:
        offset = int(asked.query["offset"])
        if offset:
            waits.append(offset)
            if len(waits) == 4:
                together.set()
            assert together.wait(20), "pages came one after another"
        return {"data": objects(*range(offset, min(offset + 10, 50))), "total": 50}

    import threading

    together = threading.Event()
    spec = {"path": "/x", "records": "data", "page": {"param": "limit", "size": 10}}
    spec["next"] = {"offset": "offset", "total": "total"}
    with scripted_api(answer) as api, opened(api.target()) as source:
        got = read_entity(source, spec)
    assert [row["id"] for row in got.objects] == [str(n) for n in range(50)]


def test_no_more_pages_than_allowed_are_on_their_way(tmp_path: Path) -> None:
    import threading

    lock, now, most = threading.Lock(), [0], [0]

    def answer(asked: Asked) -> Any:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        page = int(asked.query["page"])
        with lock:
            now[0] -= 1
        return {"data": objects(page), "pages": 30}

    spec = {"path": "/x", "records": "data", "next": {"page": "page", "pages": "pages"}}
    with scripted_api(answer) as api, opened(api.target(requests_at_once=2)) as source:
        assert len(read_entity(source, spec).objects) == 30
    assert most[0] <= 2
