"""An API as a source of rows: pages of five kinds, habits of real APIs, and what they must not be believed."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from farends.errors import (
    AuthRefused,
    PermanentError,
    PermissionRefused,
    ProtocolViolation,
    RootMissing,
    SchemaGone,
    Throttled,
    TransientError,
    TransportError,
    Truncated,
)
from farends.masking import MaskedRowSource, make_target_mask
from farends.rest.options import RestOptions, RestSecret
from farends.rest.source import END, Doubles, KeysSeen, RestSource
from farends.rows.contract import CursorOrder, KeyFrom, Mark, MarkKind, Reading
from tests.hosts.many_objects import PAGED, many_objects, sized
from tests.hosts.many_objects_server import make_object, write_object
from tests.hosts.scripted_api import Asked, Odd, scripted_api
from tests.hosts.scripted_http import Conversation, Request, scripted_http
from tests.hosts.sinks import loopback_context
from tests.rowsources.reading import Got, opened, read_entity

BY_CURSOR: dict[str, Any] = {
    "path": "/items",
    "records": "data",
    "next": {"cursor": "data[-1].id", "param": "after", "more": "more"},
}
ONE_PAGE: dict[str, Any] = {"path": "/items", "records": "data"}


def has_drifted(source: RestSource) -> bool:
    return source.drifted


def objects(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


@pytest.mark.parametrize("way", PAGED)
def test_t17_every_way_of_paging_reads_each_object_once_and_exactly(
    way: str, tmp_path: Path
) -> None:
    count, size = 2_050, 100
    with many_objects(count, tmp_path) as host, opened(host.target()) as source:
        got = read_entity(source, sized(way, size))
        assert not has_drifted(source)
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


def test_pages_whose_count_is_known_are_on_their_way_together() -> None:
    waits: list[int] = []

    def answer(asked: Asked) -> Any:
        offset = int(asked.query["offset"])
        if offset:
            waits.append(offset)
            if len(waits) == 4:
                together.set()
            assert together.wait(20), "pages came one after another"
        return {"data": objects(*range(offset, min(offset + 10, 50))), "total": 50}

    together = threading.Event()
    spec = {"path": "/x", "records": "data", "page": {"param": "limit", "size": 10}}
    spec["next"] = {"offset": "offset", "total": "total"}
    with scripted_api(answer) as api, opened(api.target()) as source:
        got = read_entity(source, spec)
    assert [row["id"] for row in got.objects] == [str(n) for n in range(50)]


def test_no_more_pages_than_allowed_are_on_their_way() -> None:
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


def page_of(*numbers: int, more: bool) -> dict[str, Any]:
    return {"data": objects(*numbers), "more": more}


def test_pain12_a_token_that_comes_again_ends_the_reading() -> None:
    def answer(asked: Asked) -> Any:
        after = int(asked.query.get("after", 0))
        return page_of(after + 1, after + 2, more=True) if after < 4 else page_of(9, 2, more=True)

    with scripted_api(answer) as api, opened(api.target()) as source:
        with pytest.raises(ProtocolViolation, match="read already"):
            read_entity(source, BY_CURSOR)
        assert len(api.asked) < 10


def test_pain12_an_empty_page_that_says_there_is_more_is_refused() -> None:
    def answer(asked: Asked) -> Any:
        return page_of(more=True) if "after" in asked.query else page_of(1, more=True)

    with (
        scripted_api(answer) as api,
        opened(api.target()) as source,
        pytest.raises(ProtocolViolation, match="the page is empty"),
    ):
        read_entity(source, BY_CURSOR)


@pytest.mark.parametrize(
    "following",
    [{"page": "page"}, {"cursor": "fresh", "param": "after"}, {"url": "url"}],
    ids=["page", "cursor", "url"],
)
def test_pain12_a_page_without_one_new_key_is_refused(following: dict[str, Any]) -> None:
    """The parameter is not known to the API, so the first page comes for ever; other fields may differ each time."""
    tokens = iter(range(1_000))

    def answer(asked: Asked) -> Any:
        number = next(tokens)
        found = [{"id": 1, "seen": number}, {"id": 2, "seen": number}]
        return {"data": found, "fresh": f"t{number}", "url": f"/items?t={number}"}

    spec = {**ONE_PAGE, "next": following}
    with scripted_api(answer) as api, opened(api.target()) as source:
        with pytest.raises(ProtocolViolation, match="no key that was not read before"):
            read_entity(source, spec)
        assert len(api.asked) <= 4


def test_a_page_whose_keys_are_the_last_and_some_new_is_read() -> None:
    def answer(asked: Asked) -> Any:
        after = int(asked.query.get("after", 0))
        return page_of(after, after + 1, more=after < 5)

    with scripted_api(answer) as api, opened(api.target()) as source:
        got = read_entity(source, BY_CURSOR, key=["id"])
        assert not has_drifted(source)
    assert {row["id"] for row in got.objects} == {str(n) for n in range(7)}


def test_so_many_keys_that_they_are_not_kept_are_watched_by_whole_pages() -> None:
    seen = KeysSeen(most=5)
    rows = [b"1", b"2", b"3"]
    assert seen.add([1, 2, 3], rows) == Doubles(is_new=True)
    assert seen.add([3, 4], [b"3", b"4"]) == Doubles(is_new=True, again=1)
    assert seen.add([1, 2], rows) == Doubles(is_new=True)  # there is no room to tell
    assert seen.add([2, 1], rows) == Doubles(is_new=False)


def test_an_object_that_changes_and_comes_once_more_owes_a_second_pass() -> None:
    """The API lists by the time of the last change: what changes while pages are read moves to the end."""

    def answer(asked: Asked) -> Any:
        after = int(asked.query.get("after", 0))
        found = [{"id": after + 1, "name": "old"}]
        if after == 3:
            found = [{"id": 1, "name": "new"}, {"id": 4, "name": "old"}]
        return {"data": found, "more": after < 3}

    with scripted_api(answer) as api, opened(api.target()) as source:
        read_entity(source, BY_CURSOR)
        assert has_drifted(source)


def test_no_token_no_more_and_an_empty_page_are_each_the_end() -> None:
    def by_more(asked: Asked) -> Any:
        return page_of(1, more=False)

    def by_token(asked: Asked) -> Any:
        return {"data": objects(1), "next": "" if asked.query else "x"} | {"id": 3}

    def by_empty_page(asked: Asked) -> Any:
        page = int(asked.query["page"])
        return {"data": objects(page) if page < 3 else []}

    with scripted_api(by_more) as api, opened(api.target()) as source:
        assert len(read_entity(source, BY_CURSOR).objects) == 1
    spec = {**ONE_PAGE, "next": {"page": "page", "start": 0}}
    with scripted_api(by_empty_page) as api, opened(api.target()) as source:
        assert [row["id"] for row in read_entity(source, spec).objects] == ["0", "1", "2"]
        assert api.asked[0].query == {"page": "0"}

    def null_token(asked: Asked) -> Any:
        last = "token" in asked.query
        return {"data": objects(2 if last else 1), "next": None if last else "t"}

    spec = {**ONE_PAGE, "next": {"cursor": "next", "param": "token"}}
    with scripted_api(null_token) as api, opened(api.target()) as source:
        assert [row["id"] for row in read_entity(source, spec).objects] == ["1", "2"]


def test_an_api_that_gives_fewer_than_asked_for_is_read_whole_by_offsets() -> None:
    def answer(asked: Asked) -> Any:
        offset = int(asked.query["offset"])
        return {"data": objects(*range(offset, min(offset + 3, 10))), "total": 10}

    spec = {**ONE_PAGE, "page": {"param": "limit", "size": 100}}
    spec["next"] = {"offset": "offset", "total": "total"}
    with scripted_api(answer) as api, opened(api.target()) as source:
        assert len(read_entity(source, spec).objects) == 10
        assert not has_drifted(source)
        assert api.asked[0].query == {"limit": "100", "offset": "0"}


def test_pain13_rows_that_move_while_they_are_counted_owe_a_second_pass() -> None:
    """One is deleted before the second page is asked for: all behind it move, and one is not seen."""
    left = [*range(20)]

    def answer(asked: Asked) -> Any:
        offset = int(asked.query["offset"])
        found = {"data": objects(*left[offset : offset + 5]), "total": len(left)}
        if offset == 5 and 0 in left:
            left.remove(0)
        return found

    spec = {**ONE_PAGE, "page": {"param": "limit", "size": 5}}
    spec["next"] = {"offset": "offset", "total": "total"}
    with scripted_api(answer) as api, opened(api.target(requests_at_once=1)) as source:
        got = read_entity(source, spec)
        assert has_drifted(source)
        assert len({row["id"] for row in got.objects}) < 20
        entity = source.describe(spec)
        source.begin(Reading(spec, entity.columns, entity.key))
        got.take(source.read())
        assert not has_drifted(source)
    assert {row["id"] for row in got.objects} >= {str(n) for n in left}


def test_pain13_a_row_that_is_inserted_while_pages_are_counted_owes_a_second_pass() -> None:
    """The API tells no total: a key that comes twice tells it."""
    rows = [*range(9)]

    def answer(asked: Asked) -> Any:
        page = int(asked.query["page"])
        found = {"data": objects(*rows[(page - 1) * 3 : page * 3])}
        if page == 2 and 100 not in rows:
            rows.insert(0, 100)
        return found

    spec = {**ONE_PAGE, "next": {"page": "page"}}
    with scripted_api(answer) as api, opened(api.target()) as source:
        read_entity(source, spec)
        assert has_drifted(source)


def test_t18_a_host_that_fails_and_asks_for_patience_costs_no_row_and_none_twice() -> None:
    said: list[str] = []
    asked_at: list[tuple[int, float]] = []
    failures = {7: [Odd(status="500 Oops"), Odd(status="500 Oops")]}
    failures[9] = [Odd(status="429 Too Many Requests", fields=("Retry-After: 3",))]

    def answer(asked: Asked) -> Any:
        page = int(asked.query.get("after", 0)) + 1
        asked_at.append((page, time.monotonic()))
        if failures.get(page):
            return failures[page].pop()
        return page_of(page, more=page < 12)

    context = replace(loopback_context(), waits=said.append)
    with scripted_api(answer) as api, opened(api.target(), context) as source:
        got = read_entity(source, BY_CURSOR)
        assert not has_drifted(source)
        place = f"127.0.0.1:{api.port}"
    assert [row["id"] for row in got.objects] == [str(n) for n in range(1, 13)]
    assert len([page for page, _ in asked_at if page == 7]) == 3
    told = [words for words in said if words]
    assert [words.startswith(f"{place}, which failed") for words in told] == [True, True, False]
    assert told[-1].startswith(f"{place}, which asked for 3 s")
    assert said[-1] == ""
    refused, again = (at for page, at in asked_at if page == 9)
    assert again - refused >= 3  # the host's own wish


def test_a_wait_that_takes_too_long_is_the_queues() -> None:
    busy = Odd(status="503 Busy", fields=("Retry-After: 90",))
    with (
        scripted_api(lambda asked: busy) as api,
        opened(api.target()) as source,
        pytest.raises(Throttled) as raised,
    ):
        source.describe(ONE_PAGE)
    assert raised.value.retry_after_s == 90
    assert len(api.asked) == 1


class Stopped(Exception):
    """What a test stops the work with."""


def test_who_waits_for_a_host_stops_when_the_work_does() -> None:
    waits = threading.Event()

    def check() -> None:
        if waits.is_set():
            raise Stopped

    busy = Odd(status="429 Too Many Requests", fields=("Retry-After: 50",))
    context = replace(loopback_context(check=check), waits=lambda words: waits.set())
    with (
        scripted_api(lambda asked: busy) as api,
        opened(api.target(), context) as source,
        pytest.raises(Stopped),
    ):
        source.describe(ONE_PAGE)


def test_a_host_that_always_fails_is_asked_a_few_times() -> None:
    with (
        scripted_api(lambda asked: Odd(status="500 Oops")) as api,
        opened(api.target()) as source,
        pytest.raises(TransientError, match="answered 500"),
    ):
        source.describe(ONE_PAGE)
    assert len(api.asked) == 4


def test_a_connection_that_ends_in_mid_answer_is_opened_again() -> None:
    failed: list[bool] = []

    def script(request: Request, conversation: Conversation) -> None:
        if not failed:
            failed.append(True)
            conversation.say(b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data": [')
            conversation.hang_up()
            return
        conversation.answer(json.dumps({"data": objects(1)}).encode())

    with scripted_http(script) as host:
        target = replace(host.target(), options=RestOptions(scheme="http"), secret=RestSecret())
        with opened(target) as source:
            assert len(read_entity(source, ONE_PAGE).objects) == 1


@pytest.mark.parametrize(
    ("said", "error", "words"),
    [
        (Odd(b"<!DOCTYPE html><title>Sign in</title>"), ProtocolViolation, "HTML or XML, and no JSON"),
        (Odd(b""), ProtocolViolation, "the answer is empty"),
        (Odd(b'{"data": [{"id": 1}, {"id"'), ProtocolViolation, "no JSON, or was cut"),
        (Odd(b'{"data": [{"id": 1}, {"id"', framed=False), Truncated, "ended before its JSON did"),
        (Odd(b'{"data": [NaN]}'), ProtocolViolation, "no JSON"),
        ({"error": {"message": "no such customer"}}, ProtocolViolation, "no such customer"),
        ({"error": "quota", "other": 1}, ProtocolViolation, "it has error, other; it says: quota"),
        ({"data": {"id": 1}}, ProtocolViolation, "no list at data"),
        ([1, 2], ProtocolViolation, "no list at data"),
        ("words", ProtocolViolation, "no list at data"),
        (Odd(b"[" * 100_000), ProtocolViolation, "no JSON"),
        (Odd(status="404 Not Found"), RootMissing, "answered 404"),
        (Odd(b'{"message": "not for you"}', "403 No"), PermissionRefused, "403: not for you"),
        (Odd(status="401 No"), AuthRefused, "answered 401"),
        (Odd(b'{"errors": [{"detail": "limit"}]}', "400 Bad"), PermanentError, "400: limit"),
        (Odd(fields=("Content-Encoding: gzip",)), ProtocolViolation, "coded as 'gzip'"),
    ],
    ids=lambda value: None if isinstance(value, type) else "",
)  # fmt: skip
def test_what_is_no_page_of_rows_is_said_clearly(
    said: Any, error: type[TransportError], words: str
) -> None:
    """No answer is taken for an empty page: rows would be removed."""
    with (
        scripted_api(lambda asked: said) as api,
        opened(api.target()) as source,
        pytest.raises(error, match=words) as raised,
    ):
        source.describe(ONE_PAGE)
    assert type(raised.value) is error


def test_an_answer_that_was_cut_quotes_no_row() -> None:
    cut = Odd(b'{"data": [{"id": 1, "card": "4242424242424242"}, {"id"')
    with (
        scripted_api(lambda asked: cut) as api,
        opened(api.target()) as source,
        pytest.raises(ProtocolViolation) as raised,
    ):
        source.describe(ONE_PAGE)
    assert "4242" not in str(raised.value)


def test_an_answer_without_a_length_is_whole_where_its_json_is() -> None:
    said = Odd(json.dumps({"data": objects(1, 2)}).encode(), framed=False)
    with scripted_api(lambda asked: said) as api, opened(api.target()) as source:
        assert len(read_entity(source, ONE_PAGE).objects) == 2


def test_no_content_is_an_empty_page() -> None:
    with (
        scripted_api(lambda asked: Odd(status="204 No Content")) as api,
        opened(api.target()) as source,
    ):
        assert read_entity(source, ONE_PAGE).objects == []


def test_the_next_page_of_another_host_is_not_followed() -> None:
    with scripted_api(lambda asked: {"data": objects(7)}) as other:
        body = {"data": objects(1), "next": f"http://127.0.0.1:{other.port}/items"}
        spec = {**ONE_PAGE, "next": {"url": "next"}}
        with (
            scripted_api(lambda asked: body) as api,
            opened(api.target()) as source,
            pytest.raises(ProtocolViolation, match="it was not followed"),
        ):
            read_entity(source, spec)
        link = Odd(
            json.dumps({"data": objects(1)}).encode(),
            fields=(f'Link: <{body["next"]}>; rel="next"',),
        )
        spec = {**ONE_PAGE, "next": {"link": "next"}}
        with (
            scripted_api(lambda asked: link) as api,
            opened(api.target()) as source,
            pytest.raises(ProtocolViolation, match="it was not followed"),
        ):
            read_entity(source, spec)
        assert other.asked == []


KEYED = {
    "bearer": RestSecret(token="sesame-open-42"),
    "basic": RestSecret(password="sesame-open-42"),
    "header": RestSecret(key="sesame-open-42"),
    "query": RestSecret(key="sesame-open-42"),
}


@pytest.mark.parametrize("auth", KEYED)
def test_a_redirect_to_another_host_shows_it_no_key(auth: str) -> None:
    """Not even where the host copies the query, and the key with it, into the place that it leads to."""
    with scripted_api(lambda asked: {"data": objects(1)}) as other:

        def answer(asked: Asked) -> Any:
            copied = "&".join(f"{name}={value}" for name, value in asked.query.items())
            place = f"http://127.0.0.1:{other.port}{asked.path}?{copied}"
            return Odd(status="302 Found", fields=(f"Location: {place}",))

        with scripted_api(answer) as api:
            target = api.target(auth=auth, username="u", auth_name="X-Key", secret=KEYED[auth])
            with opened(target) as source:
                if auth == "query":
                    with pytest.raises(ProtocolViolation, match="must not see the key"):
                        source.describe(ONE_PAGE)
                else:
                    source.describe(ONE_PAGE)
        shown = repr(other.asked)
        assert "sesame" not in shown
        assert "c2VzYW1l" not in shown  # in Base64
        assert len(other.asked) == (0 if auth == "query" else 1)


@pytest.mark.parametrize("auth", KEYED)
def test_each_way_to_log_in_shows_the_key_on_every_page_and_redirect(auth: str) -> None:
    def answer(asked: Asked) -> Any:
        shown = [
            asked.fields.get("authorization", ""),
            asked.fields.get("x-key", ""),
            asked.query.get("X-Key", ""),
        ]
        if not any(one.endswith(("sesame-open-42", "dTpzZXNhbWUtb3Blbi00Mg==")) for one in shown):
            return Odd(status="401 No")
        if asked.path == "/items":
            return Odd(
                status="307 Moved",
                fields=("Location: /moved" + ("?page=2" if asked.query.get("page") else ""),),
            )
        page = int(asked.query.get("page", 1))
        return {
            "data": objects(page),
            "next": f"/items?page=2&X-Key={KEYED[auth].key}" if page == 1 else None,
        }

    spec = {**ONE_PAGE, "next": {"url": "next"}}
    with scripted_api(answer) as api:
        target = api.target(auth=auth, username="u", auth_name="X-Key", secret=KEYED[auth])
        with opened(target) as source:
            got = read_entity(source, spec)
    assert [row["id"] for row in got.objects] == ["1", "2"]
    assert "sesame" not in json.dumps([chunk.resume for chunk in got.chunks])


def test_a_cut_reading_goes_on_behind_its_last_chunk() -> None:
    def answer(asked: Asked) -> Any:
        after = int(asked.query.get("after", 0))
        return page_of(after + 1, after + 2, more=after < 8)

    with scripted_api(answer) as api, opened(api.target()) as source:
        got = read_entity(source, BY_CURSOR, after={"token": "6"})
        assert [row["id"] for row in got.objects] == ["7", "8", "9", "10"]
        assert got.chunks[-1].resume == END
        assert [*source.read(END)] == []


def test_a_token_that_the_api_has_forgotten_begins_the_reading_anew() -> None:
    def answer(asked: Asked) -> Any:
        if asked.query.get("after") == "old":
            return Odd(status="400 Bad")
        after = int(asked.query.get("after", 0))
        return page_of(after + 1, more=after < 3)

    with scripted_api(answer) as api, opened(api.target()) as source:
        got = read_entity(source, BY_CURSOR, after={"token": "old"})
    assert [row["id"] for row in got.objects] == ["1", "2", "3", "4"]


def test_single_rows_are_looked_for_until_all_are_found() -> None:
    def answer(asked: Asked) -> Any:
        after = int(asked.query.get("after", 0))
        return page_of(after + 1, after + 2, more=after < 20)

    with scripted_api(answer) as api, opened(api.target()) as source:
        entity = source.describe(BY_CURSOR)
        source.begin(Reading(BY_CURSOR, entity.columns, ("id",)))
        got = [row for chunk in source.read_rows([{"id": "2"}, {"id": "5"}]) for row in chunk.rows]
        assert got == [b"2\n", b"5\n"]
        assert len(api.asked) <= 1 + 3 + 1  # the look, three pages, and the one that was on its way


BY_TIME = CursorOrder("updated", "updated_since", "iso8601")


def test_the_mark_is_the_latest_value_as_the_api_printed_it() -> None:
    times = [
        "2026-01-01T00:00:00.123456Z",
        "2026-01-01T00:00:00.123457Z",
        "2026-01-01T00:00:00.1Z",
        None,
    ]
    rows = [{"id": n, "updated": told} for n, told in enumerate(times)]
    with scripted_api(lambda asked: {"data": rows}) as api, opened(api.target()) as source:
        got = read_entity(source, ONE_PAGE, cursor=BY_TIME)
        assert got.begun.mark is None
        assert got.mark == Mark(MarkKind.PARAM, "updated", "2026-01-01T00:00:00.123457Z")
        assert got.without_cursor == 1
        since = read_entity(source, ONE_PAGE, cursor=BY_TIME, since=got.mark)
        assert since.begun.mark == got.mark
    assert api.asked[-1].query == {"updated_since": "2026-01-01T00:00:00.123457Z"}


def test_a_value_later_than_the_beginning_of_the_reading_is_no_mark() -> None:
    """It may have come while pages were read, and others with it behind the page that was being read."""
    rows = [
        {"id": 1, "updated": "2026-01-01T00:00:00Z"},
        {"id": 2, "updated": "2999-01-01T00:00:00Z"},
    ]
    with scripted_api(lambda asked: {"data": rows}) as api, opened(api.target()) as source:
        got = read_entity(source, ONE_PAGE, cursor=BY_TIME)
    assert got.mark == Mark(MarkKind.PARAM, "updated", "2026-01-01T00:00:00Z")


def test_the_hosts_own_clock_says_when_the_reading_began() -> None:
    rows = [{"id": 1, "at": 999_999_000}, {"id": 2, "at": 1_000_000_001}]
    body = Odd(json.dumps({"data": rows}).encode(), fields=("Date: Sun, 09 Sep 2001 01:46:40 GMT",))
    with scripted_api(lambda asked: body) as api, opened(api.target()) as source:
        got = read_entity(source, ONE_PAGE, cursor=CursorOrder("at", "at[gte]", "epoch", 60))
        assert got.mark == Mark(MarkKind.PARAM, "at", "999999000")
        read_entity(
            source, ONE_PAGE, cursor=CursorOrder("at", "at[gte]", "epoch", 60), since=got.mark
        )
    assert api.asked[-1].query == {"at[gte]": "999998940"}


def test_a_reading_that_finds_nothing_new_keeps_its_mark() -> None:
    mark = Mark(MarkKind.PARAM, "updated", "2026-01-01T00:00:00Z")
    rows: list[dict[str, Any]] = [{"id": 1, "updated": "2025-01-01T00:00:00Z"}]

    def answer(asked: Asked) -> Any:
        return {"data": [] if asked.query else rows}

    with scripted_api(answer) as api, opened(api.target()) as source:
        got = read_entity(source, ONE_PAGE, cursor=BY_TIME, since=mark)
        assert (got.objects, got.begun.mark, got.mark) == ([], mark, mark)


def test_t10_a_key_or_a_cursor_that_is_gone_needs_a_person() -> None:
    rows = [{"id": 1, "name": "a"}]
    with scripted_api(lambda asked: {"data": rows}) as api, opened(api.target()) as source:
        with pytest.raises(SchemaGone, match="updated"):
            read_entity(source, ONE_PAGE, cursor=BY_TIME)
        with pytest.raises(SchemaGone, match="number"):
            read_entity(source, ONE_PAGE, key=["number"])


def test_names_that_come_later_are_columns_from_there_on() -> None:
    pages = [
        [{"id": 1, "n": 1, "when": "2026-01-01"}],
        [{"id": 2, "n": 2.50, "when": "2026-01-01T10:00:00Z", "extra": {"a": [1]}}],
        [{"id": 3, "n": 3, "when": None, "secret": 1}],
    ]

    def answer(asked: Asked) -> Any:
        page = int(asked.query["page"])
        return {"data": pages[page - 1] if page <= 3 else []}

    spec = {**ONE_PAGE, "next": {"page": "page"}}
    with scripted_api(answer) as api, opened(api.target()) as source:
        entity = source.describe(spec)
        assert [column.name for column in entity.columns] == ["id", "n", "when"]
        got = Got(
            source.begin(
                Reading(spec, entity.columns, ("id",), takes=lambda name: name != "secret")
            )
        )
        got.take(source.read())
        assert not has_drifted(source)
    assert got.types == {
        "id": "bigint", "n": "numeric", "when": "timestamp with time zone", "extra": "jsonb"
    }  # fmt: skip
    assert [row.get("extra") for row in got.objects] == [None, '{"a": [1]}', None]
    assert [row["n"] for row in got.objects] == ["1", "2.5", "3"]


def test_a_type_that_loses_what_was_written_owes_a_second_pass_with_the_wider_one() -> None:
    pages = {"1": [{"id": 1, "v": {"b": 1}}], "2": [{"id": 2, "v": "text"}]}

    def answer(asked: Asked) -> Any:
        return {"data": pages.get(asked.query["page"], [])}

    spec = {**ONE_PAGE, "next": {"page": "page"}}
    with scripted_api(answer) as api, opened(api.target()) as source:
        got = read_entity(source, spec)
        assert has_drifted(source)
        again = read_entity(source, spec)
        assert not has_drifted(source)
    assert got.types["v"] == again.types["v"] == "text"
    assert again.chunks[0].columns[1].type == "text"


def test_entities_are_told_with_key_and_cursor() -> None:
    def answer(asked: Asked) -> Any:
        if asked.path.endswith("gone"):
            return Odd(status="404 Not Found")
        return {"data": [{"id": "a", "number": 5, "created": 1_760_000_000, "name": None}]}

    entities = {
        "customers": {"path": "/customers", "records": "data"},
        "invoices": {
            "path": "/invoices", "records": "data", "key": ["number"], "cursor": {"field": "created", "param": "created[gte]", "format": "epoch"}
        },
        "gone": {"path": "/gone", "records": "data"},
    }  # fmt: skip
    with scripted_api(answer) as api, opened(api.target(entities=entities)) as source:
        customers, gone, invoices = source.entities()
        assert [one.name for one in source.entities("inv")] == ["invoices"]
        assert source.describe(invoices.spec) == invoices
        assert source.describe({"name": "invoices"}) == invoices
        with pytest.raises(RootMissing, match="answered 404"):
            source.describe(gone.spec)
        with pytest.raises(RootMissing, match="has no entity nothing"):
            source.describe({"name": "nothing"})
    assert (customers.key, customers.key_from) == (("id",), KeyFrom.PROPOSED)
    assert customers.proposed_cursor is None
    assert [choice.cursor.field for choice in customers.cursors] == ["created"]
    assert (invoices.key, invoices.key_from) == (("number",), KeyFrom.PRIMARY)
    assert invoices.proposed_cursor == CursorOrder("created", "created[gte]", "epoch")
    assert (gone.name, gone.columns) == ("gone", ())


def test_a_preview_prints_values_as_postgresql_does() -> None:
    rows = [
        {
            "id": n,
            "at": "2026-01-01T02:00:00.50+02:00",
            "doc": {"bb": 1.10, "a": None},
            "none": None,
        }
        for n in range(3)
    ]
    body = json.dumps({"data": rows}).replace("1.1", "1.10").encode()
    with scripted_api(lambda asked: body) as api, opened(api.target()) as source:
        shown = source.preview(ONE_PAGE, 2)
        assert not shown.complete
        assert source.preview(ONE_PAGE, 3).complete
    assert shown.rows[0] == ("0", "2026-01-01 00:00:00.5+00", '{"a": null, "bb": 1.10}', None)
    assert len(shown.rows) == 2


def test_requests_keep_to_their_rate() -> None:
    asked_at: list[float] = []

    def answer(asked: Asked) -> Any:
        asked_at.append(time.monotonic())
        return {"data": objects(int(asked.query["page"])), "pages": 6}

    spec = {**ONE_PAGE, "next": {"page": "page", "pages": "pages"}}
    with scripted_api(answer) as api, opened(api.target(requests_per_s=10)) as source:
        assert len(read_entity(source, spec).objects) == 6
    # Seven requests at ten a second; an idle line has saved up a quarter of a second.
    assert asked_at[-1] - asked_at[0] >= 6 / 10 - 0.25 - 0.1


def test_what_the_host_says_of_a_key_is_not_told() -> None:
    def answer(asked: Asked) -> Any:
        token = asked.fields["authorization"]
        return Odd(json.dumps({"message": f"bad log-in: {token}"}).encode(), "403 No")

    with scripted_api(answer) as api:
        target = api.target(auth="bearer", secret=RestSecret(token="sesame-open-42"))
        with opened(target) as source:
            masked = MaskedRowSource(source, make_target_mask(target) or str)
            with pytest.raises(PermissionRefused) as raised:
                masked.describe(ONE_PAGE)
    assert "sesame" not in str(raised.value)
    assert "***" in str(raised.value)
