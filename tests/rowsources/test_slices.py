"""Resources that are read slice by slice: by the values of a parameter, or by windows of time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from farends.errors import ProtocolViolation, TransientError, TransportError
from farends.rest.paging import FIRST
from farends.rest.resource import find_resource
from farends.rest.slices_ahead import SlicesAhead
from farends.rest.slicing import LOOKS_MAX, Slices
from farends.rest.source import END, KeysSeen, RestSource
from farends.rows.contract import CursorOrder, Mark, MarkKind, Reading
from tests.hosts.scripted_api import Asked, Odd, ScriptedApi, scripted_api
from tests.rowsources.reading import Got, opened, read_entity
from tests.waiting import until

BY_REGION: dict[str, Any] = {
    "path": "/items",
    "records": "data",
    "page": {"param": "limit", "size": 2},
    "next": {"cursor": "data[-1].id", "param": "after", "more": "more"},
    "slices": {"param": "region", "values": ["eu", "us", 7]},
}
MONTH_S = 30 * 86_400
BY_TIME: dict[str, Any] = {
    "path": "/items",
    "records": "data",
    "slices": {
        "from": "created[gte]",
        "to": "created[lt]",
        "start": "2026-01-01",
        "step_s": MONTH_S,
        "format": "iso8601",
    },
}
CREATED = CursorOrder("created", param="created[gte]", format="iso8601")
REGIONS = {"eu": (1, 2, 3, 4, 5), "us": (6, 7), "7": (8, 9, 10)}


def has_drifted(source: RestSource) -> bool:
    return source.drifted


def answer_region(asked: Asked, regions: dict[str, Sequence[int]] | None = None) -> Any:
    after = int(asked.query.get("after", 0))
    found = [n for n in (regions or REGIONS)[asked.query["region"]] if n > after]
    size = int(asked.query["limit"])
    return {"data": [{"id": n} for n in found[:size]], "more": len(found) > size}


def ids(got: Got) -> list[int]:
    return [int(row["id"] or "") for row in got.objects]


def at(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Times:
    """Objects of one moment each; a request without a start is refused, as such APIs do."""

    def __init__(self, moments: Sequence[str]) -> None:
        self.moments = moments

    def __call__(self, asked: Asked) -> Any:
        if "created[gte]" not in asked.query:
            return Odd(b'{"error": "created[gte] is required"}', status="400 Bad Request")
        since, until = asked.query["created[gte]"], asked.query.get("created[lt]", "9999")
        return {
            "data": [
                {"id": n, "created": moment}
                for n, moment in enumerate(self.moments)
                if since <= moment < until
            ]
        }


def asked_windows(api: ScriptedApi) -> list[tuple[str, str | None]]:
    return [(one.query["created[gte]"], one.query.get("created[lt]")) for one in api.asked]


def test_each_value_is_read_from_its_first_page_to_its_last() -> None:
    with scripted_api(answer_region) as api, opened(api.target()) as source:
        got = read_entity(source, BY_REGION)
        assert not has_drifted(source)
    assert ids(got) == list(range(1, 11))
    assert got.chunks[-1].resume == END
    regions = [one.query["region"] for one in api.asked[1:]]
    assert sorted(regions) == ["7", "7", "eu", "eu", "eu", "us"]


def test_windows_lie_side_by_side_and_the_last_has_no_end() -> None:
    later = at(time.time() + 3_600)  # a clock that is ahead
    moments = ["2026-01-01T00:00:00Z", "2026-01-30T23:59:59Z", "2026-01-31T00:00:00Z", later]
    with scripted_api(Times(moments)) as api, opened(api.target()) as source:
        entity = source.describe(BY_TIME)
        api.asked.clear()
        got = Got(source.begin(Reading(BY_TIME, entity.columns, ("id",))))
        got.take(source.read())
    assert sorted(ids(got)) == [0, 1, 2, 3]
    windows = sorted(asked_windows(api), key=lambda window: window[0])
    assert windows[0] == ("2026-01-01T00:00:00Z", "2026-01-31T00:00:00Z")
    assert [end for _, end in windows[:-1]] == [start for start, _ in windows[1:]]
    assert windows[-1][1] is None


@pytest.mark.parametrize(
    ("form", "start"), [("epoch", "1767225600"), ("epoch_ms", "1767225600000")]
)
def test_windows_are_written_as_the_api_wants_them(form: str, start: str) -> None:
    spec = {**BY_TIME, "slices": {**BY_TIME["slices"], "format": form}}
    with (
        scripted_api(lambda asked: {"data": [{"id": 1}]}) as api,
        opened(api.target()) as source,
    ):
        read_entity(source, spec)
    first = min((one.query for one in api.asked), key=lambda query: int(query["created[gte]"]))
    assert first["created[gte]"] == start
    assert int(first["created[lt]"]) - int(start) == MONTH_S * (1000 if form == "epoch_ms" else 1)


def test_windows_begin_at_the_mark_where_the_cursor_has_their_parameter() -> None:
    moments = ["2026-01-05T00:00:00Z", "2026-03-05T00:00:00Z", "2026-03-06T00:00:00Z"]
    since = Mark(MarkKind.PARAM, "created", "2026-03-05T00:00:00Z")
    with scripted_api(Times(moments)) as api, opened(api.target()) as source:
        columns = source.describe(BY_TIME).columns
        api.asked.clear()
        got = Got(source.begin(Reading(BY_TIME, columns, ("id",), CREATED, since)))
        got.take(source.read())
    assert ids(got) == [1, 2]
    windows = sorted(asked_windows(api), key=lambda window: window[0])
    assert windows[0] == ("2026-03-05T00:00:00Z", "2026-04-01T00:00:00Z")
    assert windows[1][0] == "2026-04-01T00:00:00Z"
    assert got.mark is not None
    assert got.mark.text == "2026-03-06T00:00:00Z"


def test_a_cursor_of_another_parameter_goes_with_each_slice() -> None:
    cursor = CursorOrder("id", param="id_from", format="text")
    since = Mark(MarkKind.PARAM, "id", "3")
    with scripted_api(answer_region) as api, opened(api.target()) as source:
        read_entity(source, BY_REGION, cursor=cursor, since=since)
    assert {one.query.get("id_from") for one in api.asked[1:]} == {"3"}


def test_an_object_of_two_slices_is_no_drift_and_one_that_changed_is() -> None:
    names = {"eu": "one", "us": "one", "7": "one"}

    def answer(asked: Asked) -> Any:
        return {"data": [{"id": 1, "name": names[asked.query["region"]]}], "total": 1}

    spec = {**BY_REGION, "next": {"offset": "offset", "total": "total"}}
    with scripted_api(answer) as api, opened(api.target()) as source:
        assert len(read_entity(source, spec).objects) == 3
        assert not has_drifted(source)
        names["us"] = "two"
        read_entity(source, spec)
        assert has_drifted(source)


def test_pain12_a_page_without_one_new_key_is_refused_in_a_later_slice_too() -> None:
    def answer(asked: Asked) -> Any:
        if asked.query["region"] == "eu":
            return {"data": [{"id": 6}], "more": False}
        return {"data": [{"id": 6}], "more": True, "token": str(len(api.asked))}

    spec = {**BY_REGION, "next": {"cursor": "token", "param": "after", "more": "more"}}
    with (
        scripted_api(answer) as api,
        opened(api.target()) as source,
        pytest.raises(ProtocolViolation, match="no key that was not read before"),
    ):
        read_entity(source, spec)
    assert len(api.asked) < 10


def test_keys_that_are_not_kept_may_come_again_in_another_slice() -> None:
    seen = KeysSeen(most=0)
    seen.begin_slice()
    assert seen.add([1], [b"a"]).is_new
    assert not seen.add([1], [b"a"]).is_new
    seen.begin_slice()
    assert seen.add([1], [b"a"]).is_new


def test_pages_that_moved_in_an_earlier_slice_owe_a_second_pass() -> None:
    def answer(asked: Asked) -> Any:
        offset = int(asked.query["offset"])
        moved = asked.query["region"] == "eu" and offset > 0
        base = {"eu": 0, "us": 100, "7": 200}[asked.query["region"]]
        numbers = range(base + offset, base + min(offset + 2, 4))
        return {"data": [{"id": n} for n in numbers], "total": 3 if moved else 4}

    spec = {**BY_REGION, "next": {"offset": "offset", "total": "total"}}
    with scripted_api(answer) as api, opened(api.target()) as source:
        read_entity(source, spec)
        assert has_drifted(source)


def test_a_cut_reading_goes_on_in_the_slice_that_it_was_in() -> None:
    slices = Slices(find_resource(BY_REGION, {}).slicing, 0)
    with scripted_api(answer_region) as api, opened(api.target()) as source:
        for place, rest in [
            (slices.following(0, {"token": "4"}), [5, 6, 7, 8, 9, 10]),
            (slices.following(0, None), [6, 7, 8, 9, 10]),
            (slices.following(1, None), [8, 9, 10]),
        ]:
            api.asked.clear()
            assert ids(read_entity(source, BY_REGION, after=place)) == rest
    assert slices.following(2, None) is None


def test_a_cut_reading_goes_on_in_its_window() -> None:
    moments = ["2026-01-05T00:00:00Z", "2026-02-05T00:00:00Z", "2026-03-05T00:00:00Z"]
    slices = Slices(find_resource(BY_TIME, {}).slicing, time.time())
    with scripted_api(Times(moments)) as api, opened(api.target()) as source:
        got = read_entity(source, BY_TIME, after=slices.following(0, None))
    assert ids(got) == [1, 2]


def test_a_place_of_other_slices_is_the_beginning() -> None:
    fewer = {**BY_REGION, "slices": {"param": "region", "values": ["eu", "us"]}}
    place = Slices(find_resource(fewer, {}).slicing, 0).following(0, None)
    with scripted_api(answer_region) as api, opened(api.target()) as source:
        assert ids(read_entity(source, BY_REGION, after=place)) == list(range(1, 11))
        assert ids(read_entity(source, BY_REGION, after={"token": "4"})) == list(range(1, 11))


def test_the_window_without_an_end_stays_so_when_a_reading_goes_on_later() -> None:
    slicing = find_resource(BY_TIME, {}).slicing
    early = Slices(slicing, 1_767_225_600 + 1.5 * MONTH_S)
    place = early.following(1, {"page": 3})
    late = Slices(slicing, 1_767_225_600 + 5 * MONTH_S)
    number, inner = late.start(place or {})
    assert (number, inner) == (1, {"page": 3})
    assert late.params(number) == [("created[gte]", "2026-01-31T00:00:00Z")]
    assert [*late.from_on(number)] == [1]


def test_a_slice_that_fails_ends_the_reading() -> None:
    def answer(asked: Asked) -> Any:
        if asked.query["region"] == "us":
            return Odd(b"{}", status="403 Forbidden")
        return answer_region(asked)

    with scripted_api(answer) as api, opened(api.target(requests_at_once=1)) as source:
        with pytest.raises(TransportError) as caught:
            read_entity(source, BY_REGION)
        assert not isinstance(caught.value, TransientError)
        assert "7" not in [one.query["region"] for one in api.asked]


class Gate:
    """Answers nothing before so many requests are there; then, and after some time, all."""

    def __init__(self, count: int) -> None:
        self._barrier = threading.Barrier(count)
        self.was_open = False

    def wait(self) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            self._barrier.wait(60)
            self.was_open = True


def test_several_slices_are_on_their_way_together_page_after_page(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    move = SlicesAhead.move

    def move_when_all_are_answered(ahead: SlicesAhead) -> None:
        """It asks for what follows the pages that are there, and the host's three answers come in any order."""
        others = [pages for _, pages in ahead._open][1:]
        asked = [pages.of for pages in others if pages.of.is_asked and not pages.kept]
        until(lambda: all(one.is_answered for one in asked), "a page was not answered")
        move(ahead)

    monkeypatch.setattr(SlicesAhead, "move", move_when_all_are_answered)
    first, second = Gate(3), Gate(2)  # two of the three have a second page

    def answer(asked: Asked) -> Any:
        if "after" not in asked.query:
            first.wait()
        elif asked.query["after"] in ("2", "9"):
            second.wait()
        return answer_region(asked)

    with scripted_api(answer) as api, opened(api.target()) as source:
        got = Got(source.begin(Reading(BY_REGION, (), ("id",))))
        got.take(source.read())
        assert ids(got) == list(range(1, 11))
        assert len(api.asked) == 3 + 1 + 2
    assert (first.was_open, second.was_open) == (True, True)


def test_the_window_without_an_end_is_asked_for_when_all_others_are_read() -> None:
    resource = find_resource(BY_TIME, {})
    slices = Slices(resource.slicing, 1_767_225_600 + 3.5 * MONTH_S)
    with scripted_api(Times([])) as api, opened(api.target()) as source:
        ahead = SlicesAhead(source.api, resource, slices, FIRST)
        together = []
        for _, pages in ahead:
            together += [[number for number, _ in ahead._open] for _ in pages]
    assert together == [[0, 1, 2], [1, 2], [2], [3]]


def test_a_slice_that_is_read_ahead_fails_in_its_turn() -> None:
    def answer(asked: Asked) -> Any:
        if asked.query["region"] == "7":
            return Odd(b"{}", status="403 Forbidden")
        return answer_region(asked)

    read: list[int] = []

    def take(source: RestSource) -> None:
        reading = source._reading
        assert reading is not None
        for page, _ in reading._read_pages(FIRST):
            read.extend(int(bytes(row["id"])) for row in page.objects.rows)

    with scripted_api(answer) as api, opened(api.target()) as source:
        source.begin(Reading(BY_REGION, (), ("id",)))
        with pytest.raises(TransportError):
            take(source)
    assert read == list(range(1, 8))


def test_a_look_asks_for_few_slices_and_for_the_latest_windows_first() -> None:
    spec = {**BY_TIME, "slices": {**BY_TIME["slices"], "step_s": 60}}
    with scripted_api(Times([])) as api, opened(api.target()) as source:
        shown = source.preview(spec, 20)
        assert (shown.rows, shown.complete) == ((), False)
        assert len(api.asked) == LOOKS_MAX
        assert asked_windows(api)[0][1] is None
        source.describe(spec)
        assert len(api.asked) == 2 * LOOKS_MAX
    with scripted_api(answer_region) as api, opened(api.target()) as source:
        shown = source.preview(BY_REGION, 20)
        assert (len(shown.rows), shown.complete) == (10, True)
        assert not source.preview(BY_REGION, 3).complete
        assert len([one for one in api.asked if one.query["region"] != "eu"]) == 3


def test_columns_are_found_where_the_first_slices_are_empty() -> None:
    def answer(asked: Asked) -> Any:
        return answer_region(asked, {"eu": (), "us": (), "7": (1,)})

    with scripted_api(answer) as api, opened(api.target()) as source:
        entity = source.describe(BY_REGION)
    assert [column.name for column in entity.columns] == ["id"]
    assert entity.key == ("id",)


def test_single_rows_are_looked_for_in_all_slices() -> None:
    with scripted_api(answer_region) as api, opened(api.target()) as source:
        entity = source.describe(BY_REGION)
        source.begin(Reading(BY_REGION, entity.columns, ("id",)))
        found = [chunk.rows for chunk in source.read_rows([{"id": "9"}, {"id": "2"}])]
    assert found == [[b"2\n"], [b"9\n"]]
