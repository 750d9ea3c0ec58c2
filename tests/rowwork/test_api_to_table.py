"""From an API into a table: the whole flow, with pages, marks, types that are learned, tokens that are renewed."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from connectors.models import Connector
from connectors.opening import open_rows
from connectors.opening import test_connector as examine_connector
from connectors.secrets import unseal
from datasets.models import Version
from farends.errors import AuthRefused, TransportError
from farends.rest.options import RestSecret
from farends.stages import StageOutcome
from syncjobs.core.states import State
from syncjobs.models import SyncJob, SyncMode, SyncRecord
from tests.hosts.scripted_api import Asked, Odd, ScriptedApi, scripted_api
from tests.rows import at_work, fresh, make_connector, make_job, run
from tests.rowwork.conftest import events_by_name, rows_of, table_of
from tests.waiting import until

pytestmark = pytest.mark.django_db(transaction=True)

ITEMS: dict[str, Any] = {
    "path": "/items",
    "records": "data",
    "page": {"param": "limit", "size": 3},
    "next": {"cursor": "data[-1].id", "param": "after", "more": "more"},
}
CURSOR = {"field": "updated", "param": "updated[gte]", "format": "iso8601"}


class Shop:
    """An API with the objects of a list, in the order of their ids."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows
        self.before: dict[
            int, Any
        ] = {}  # by the number of the request: what is answered in the place of a page
        self.asked: list[dict[str, str]] = []
        self.refused_region = ""

    def __call__(self, asked: Asked) -> Any:
        self.asked.append(asked.query)
        if (odd := self.before.pop(len(self.asked), None)) is not None:
            return odd
        region = asked.query.get("region")
        if region is not None and region == self.refused_region:
            return {"error": {"message": "the region is away"}}
        size, after = int(asked.query.get("limit", 100)), int(asked.query.get("after", 0))
        since = asked.query.get("updated[gte]", "")
        found = [
            {name: value for name, value in row.items() if name != "regions"}
            for row in self.rows
            if row["id"] > after
            and (row.get("updated") or "") >= since
            and (region is None or region in row["regions"])
        ]
        return {"data": found[:size], "more": len(found) > size}


def make_row(number: int, **fields: Any) -> dict[str, Any]:
    return {
        "id": number,
        "name": f"name {number}",
        "updated": f"2026-01-01T00:00:{number:02}Z",
    } | fields


@pytest.fixture
def shop() -> Shop:
    return Shop([make_row(number) for number in range(1, 9)])


@pytest.fixture
def api(shop: Shop) -> Iterator[ScriptedApi]:
    with scripted_api(shop) as served:
        yield served


@pytest.fixture
def job(api: ScriptedApi) -> SyncJob:
    connector = make_connector(api.target(), kind="rest")
    return make_job(connector, entity=ITEMS, cursor=CURSOR, sync_mode=SyncMode.INCREMENTAL)


def held(job: SyncJob) -> list[dict[str, str | None]]:
    return rows_of(job, "items")


def test_an_api_becomes_a_table_and_later_only_what_is_new_is_asked_for(
    job: SyncJob, shop: Shop
) -> None:
    record = run(job)
    assert (record.state, record.rows_read, record.rows_added) == (State.SUCCEEDED, 8, 8)
    assert len(shop.asked) <= 3 + 2  # the pages, and two at most
    assert record.mark == {"kind": "param", "field": "updated", "text": "2026-01-01T00:00:08Z"} | (
        {"proof": {}} if "proof" in (record.mark or {}) else {}
    )
    assert [row["id"] for row in held(job)] == [str(number) for number in range(1, 9)]
    assert held(job)[0]["updated"] == "2026-01-01 00:00:01+00"
    shop.rows.append(make_row(9, updated="2026-01-01T00:00:08Z"))  # the mark's own time
    shop.rows[0] |= {"name": "changed", "updated": "2026-01-02T00:00:00Z"}
    shop.asked.clear()
    again = run(job)
    assert (again.state, again.mode) == (State.SUCCEEDED, SyncMode.INCREMENTAL)
    assert (again.rows_added, again.rows_changed, again.rows_removed) == (1, 1, 0)
    assert shop.asked[-1]["updated[gte]"] == "2026-01-01T00:00:08Z"
    assert held(job)[0]["name"] == "changed"
    third = run(job)
    assert (third.rows_added, third.rows_changed, third.rows_removed) == (0, 0, 0)
    assert Version.objects.filter(dataset=job.dataset).count() == 2


def test_a_column_that_was_always_null_takes_the_type_of_its_first_values(
    job: SyncJob, shop: Shop
) -> None:
    for row in shop.rows:
        row |= {"closed": None, "count": None, "price": 1, "day": "2026-01-01"}
    assert run(job).state == State.SUCCEEDED
    shop.rows.append(
        make_row(9, closed="2026-01-05T00:00:00Z", count=5, price=1.25, day="2026-01-05T10:00:00Z")
    )
    record = run(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    last = held(job)[-1]
    assert (last["closed"], last["count"], last["price"]) == ("2026-01-05 00:00:00+00", "5", "1.25")
    assert held(job)[0]["day"] == "2026-01-01 00:00:00+00"


def test_fewer_values_never_narrow_a_column(job: SyncJob, shop: Shop) -> None:
    shop.rows[3]["name"] = 5
    shop.rows[4]["name"] = {"a": 1}
    assert run(job).state == State.SUCCEEDED
    shop.rows.append(make_row(9, name=7))
    record = run(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert [held(job)[at]["name"] for at in (3, 4, 8)] == ["5", '{"a": 1}', "7"]


def test_t12_a_column_that_becomes_text_waits_for_a_person(job: SyncJob, shop: Shop) -> None:
    for row in shop.rows:
        row["qty"] = row["id"]
    run(job)
    shop.rows.append(make_row(9, qty="abc"))
    record = run(job)
    assert (record.state, record.error_code) == (State.HELD, "schema_change")
    assert len(held(job)) == 8


@pytest.mark.parametrize("gone", ["id", "updated"])
def test_t10_a_key_or_cursor_that_is_gone_needs_a_person(
    job: SyncJob, shop: Shop, gone: str
) -> None:
    run(job)
    shop.before = {}
    shop.rows = [make_row(number) for number in range(9, 12)]
    with_it = shop.__call__

    def without(asked: Asked) -> Any:
        page = with_it(asked)
        kept = [{name: cell for name, cell in row.items() if name != gone} for row in page["data"]]
        return page | {"data": kept}

    with scripted_api(without) as other:
        job.get_connector().port = other.port
        job.get_connector().save()
        entity = {**ITEMS, "next": None} if gone == "id" else ITEMS
        SyncJob.objects.filter(pk=job.pk).update(
            entity={**entity, "page": {"param": "limit", "size": 9}}
        )
        record = run(fresh(job))
    assert (record.state, record.error_code) == (State.FAILED, "schema")
    assert gone in record.error
    assert len(held(job)) == 8


def test_a_type_that_is_learned_late_is_read_twice(job: SyncJob, shop: Shop) -> None:
    """The first page holds times, the last one none: as text each is what the API wrote."""
    for row in shop.rows:
        row["when"] = "2026-01-01T00:00:00.50Z"
    shop.rows[-1]["when"] = "soon"
    record = run(job)
    assert record.state == State.SUCCEEDED
    assert [row["when"] for row in held(job)] == ["2026-01-01T00:00:00.50Z"] * 7 + ["soon"]
    assert events_by_name(record.pk)["second_pass"]["reason"] == "drifted"
    assert (record.rows_read, record.rows_added) == (8, 8)


def test_rows_without_a_key_are_not_counted_twice_by_a_second_pass(
    api: ScriptedApi, shop: Shop
) -> None:
    for row in shop.rows:
        row["when"] = "2026-01-01T00:00:00.50Z"
    shop.rows[-1]["when"] = "soon"
    entity = {**ITEMS, "next": {"offset": "after"}}
    pages = {"0": shop.rows[:4], "4": shop.rows[4:]}
    rows = {
        at: [{"name": row["name"], "when": row["when"]} for row in page]
        for at, page in pages.items()
    }
    with scripted_api(lambda asked: {"data": rows.get(asked.query["after"], [])}) as keyless:
        job = make_job(
            make_connector(keyless.target(), kind="rest"), entity=entity, sync_mode=SyncMode.FULL
        )
        record = run(job)
        assert (record.state, record.rows_added) == (State.SUCCEEDED, 8)
        assert run(job).rows_added == 0


def test_t15_a_row_that_no_text_holds_is_quarantined_and_the_rest_goes_on(
    job: SyncJob, shop: Shop
) -> None:
    job.row_errors_max_share = 0.5
    job.save()
    shop.rows[2]["name"] = "a\0b"
    shop.rows[5]["name"] = "half \ud83d"
    record = run(job)
    assert (record.state, record.rows_added, record.rows_failed) == (State.PARTIAL, 6, 2)


def test_t18_a_record_says_what_its_host_has_asked_for_and_goes_on(
    job: SyncJob, shop: Shop
) -> None:
    shop.before = {
        2: Odd(status="500 Oops"),
        3: Odd(status="500 Oops"),
        5: Odd(status="429 Slow", fields=("Retry-After: 3",)),
    }
    with at_work(job) as record:
        until(
            lambda: "asked for 3 s" in fresh(record).waiting_for, "it did not say what it waits for"
        )
        assert record.state == State.RUNNING
    record = fresh(record)
    assert (record.state, record.attempt, record.rows_added) == (State.SUCCEEDED, 1, 8)
    assert record.waiting_for == ""


def test_an_api_that_asks_for_more_patience_sends_the_record_to_the_queue(
    job: SyncJob, shop: Shop
) -> None:
    shop.before = {2: Odd(status="429 Slow", fields=("Retry-After: 120",))}
    record = run(job)
    assert record.state == State.QUEUED
    assert record.not_before is not None


def test_an_emptied_api_is_held(job: SyncJob, shop: Shop) -> None:
    run(job)
    shop.rows.clear()
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.error_code) == (State.HELD, "empty_source")
    assert len(held(job)) == 8


@pytest.mark.parametrize("key", [(), ("id",)])
def test_an_api_without_objects_is_an_empty_table_that_fills_later(
    api: ScriptedApi, shop: Shop, key: tuple[str, ...]
) -> None:
    rows, shop.rows = shop.rows, []
    connector = make_connector(api.target(), kind="rest")
    job = make_job(connector, entity=ITEMS, key=key, sync_mode=SyncMode.FULL)
    record = run(job)
    assert (record.state, record.error, record.rows_added) == (State.SUCCEEDED, "", 0)
    shop.rows = rows
    record = run(job)
    assert (record.state, record.error, record.rows_added) == (State.SUCCEEDED, "", 8)


def test_an_api_that_answers_with_an_error_removes_nothing(job: SyncJob, shop: Shop) -> None:
    run(job)
    shop.before = {len(shop.asked) + 2: {"error": {"message": "the index is being built"}}}
    record = run(job, mode=SyncMode.FULL)
    assert (record.state, record.error_code) == (State.FAILED, "protocol")
    assert "the index is being built" in record.error
    assert len(held(job)) == 8


@pytest.fixture
def sliced(api: ScriptedApi) -> SyncJob:
    entity = {**ITEMS, "slices": {"param": "region", "values": ["eu", "us"]}}
    connector = make_connector(api.target(), kind="rest")
    return make_job(connector, entity=entity, cursor=CURSOR, sync_mode=SyncMode.INCREMENTAL)


def test_slices_fill_one_table_and_a_row_of_two_is_there_once(sliced: SyncJob, shop: Shop) -> None:
    for row in shop.rows:
        row["regions"] = ["eu"] if row["id"] < 5 else ["us"]
    shop.rows[0]["regions"] = ["eu", "us"]
    record = run(sliced)
    assert (record.state, record.error, record.rows_added) == (State.SUCCEEDED, "", 8)
    assert record.rows_duplicate == 1
    assert (record.mark or {})["text"] == "2026-01-01T00:00:08Z"
    shop.rows[1] |= {"name": "changed", "updated": "2026-01-02T00:00:00Z"}
    shop.asked.clear()
    again = run(sliced)
    assert (again.rows_changed, again.rows_removed) == (1, 0)
    assert {query["updated[gte]"] for query in shop.asked[-2:]} == {"2026-01-01T00:00:08Z"}
    assert {query["region"] for query in shop.asked[-2:]} == {"eu", "us"}


def test_a_slice_that_fails_removes_nothing_and_moves_no_mark(sliced: SyncJob, shop: Shop) -> None:
    for row in shop.rows:
        row["regions"] = ["eu"] if row["id"] < 5 else ["us"]
    mark = run(sliced).mark
    shop.refused_region = "us"
    shop.rows[0] |= {"name": "changed", "updated": "2026-01-02T00:00:00Z"}
    for mode in (SyncMode.INCREMENTAL, SyncMode.FULL):
        record = run(sliced, mode=mode)
        assert (record.state, record.error_code) == (State.FAILED, "protocol")
    assert [row["name"] for row in held(sliced)] == [f"name {number}" for number in range(1, 9)]
    assert table_of(sliced, "items").mark == mark
    shop.refused_region = ""
    assert run(sliced).rows_changed == 1


def test_entities_of_the_connector_become_tables_each_on_its_own(api: ScriptedApi) -> None:
    connector = make_connector(api.target(), kind="rest")
    connector.entities = {
        "customers": {**ITEMS, "path": "/customers"},
        "invoices": {**ITEMS, "path": "/invoices", "key": ["id"], "cursor": CURSOR},
        "events": {**ITEMS, "path": "/events"},
    }
    connector.save()
    job = make_job(connector, entities={"include": ["customers", "inv*"]})
    record = run(job)
    assert record.state == State.SUCCEEDED
    assert [one["name"] for one in record.tables or []] == ["customers", "invoices"]
    assert len(rows_of(job, "invoices")) == 8
    assert (table_of(job, "invoices").mark or {})["text"] == "2026-01-01T00:00:08Z"
    single = make_job(connector, entity="events", sync_mode=SyncMode.FULL)
    assert run(single).rows_added == 8


class Authority:
    """Gives tokens, and a new refresh token with each: the one before is used up."""

    def __init__(self) -> None:
        self.refresh_token, self.token = "refresh-0", "token-0"
        self.given = 0
        self.refused: Odd | None = None
        self.lock = threading.Lock()

    def __call__(self, asked: Asked) -> Any:
        with self.lock:
            if self.refused is not None:
                return self.refused
            if asked.form.get("refresh_token") != self.refresh_token:
                return Odd(b'{"error": "invalid_grant"}', "400 Bad Request")
            self.given += 1
            self.refresh_token, self.token = f"refresh-{self.given}", f"token-{self.given}"
            return {
                "access_token": self.token,
                "refresh_token": self.refresh_token,
                "token_type": "Bearer",
            }


@pytest.fixture
def authority() -> Authority:
    return Authority()


@contextmanager
def behind_tokens(shop: Shop, authority: Authority, valid: Any = None) -> Iterator[Connector]:
    """A connector to an API that takes the latest token alone, unless `valid` says otherwise."""

    def answer(asked: Asked) -> Any:
        shown = asked.fields.get("authorization", "").removeprefix("Bearer ")
        if shown != authority.token or (valid is not None and not valid()):
            return Odd(status="401 Unauthorized")
        return shop(asked)

    with scripted_api(authority) as tokens, scripted_api(answer) as api:
        target = api.target(
            auth="oauth2_refresh_token",
            token_url=f"http://127.0.0.1:{tokens.port}/token",
            client_id="us",
            secret=RestSecret(client_secret="hush", refresh_token="refresh-0"),
        )
        yield make_connector(target, kind="rest")


def stored_token(connector: Connector) -> str:
    return str(unseal(fresh(connector))["refresh_token"])


def test_pain14_a_refresh_token_is_stored_before_what_came_with_it_is_used(
    shop: Shop, authority: Authority
) -> None:
    """The host looks into our database when it first sees the token, as a worker that is killed there would leave it."""
    seen: list[str] = []

    def look() -> bool:
        seen.append(stored_token(connector))
        connection.close()
        return True

    with behind_tokens(shop, authority, look) as connector:
        job = make_job(connector, entity=ITEMS, sync_mode=SyncMode.FULL)
        assert run(job).state == State.SUCCEEDED
        assert seen[0] == "refresh-1"
        assert stored_token(connector) == "refresh-1"
        assert unseal(connector)["client_secret"] == "hush"
        assert run(job).state == State.SUCCEEDED
        assert stored_token(connector) == "refresh-2"


def test_pain14_a_token_that_ends_in_mid_reading_is_renewed_once(
    shop: Shop, authority: Authority
) -> None:
    asked = iter(range(1_000))

    def expire() -> bool:
        if next(asked) == 3:
            authority.token = "another"
            return False
        return True

    with behind_tokens(shop, authority, expire) as connector:
        record = run(make_job(connector, entity=ITEMS, sync_mode=SyncMode.FULL))
        assert (record.state, record.attempt, record.rows_added) == (State.SUCCEEDED, 1, 8)
    assert authority.given == 2


def test_pain14_two_workers_do_not_use_up_each_others_refresh_token(
    shop: Shop, authority: Authority
) -> None:
    with behind_tokens(shop, authority) as connector:
        errors: list[TransportError] = []

        def log_in() -> None:
            source = open_rows(Connector.objects.get(pk=connector.pk), check=lambda: None)
            try:
                source.describe(ITEMS)
            except AuthRefused:
                pass  # the other one's token is the latest
            except TransportError as exc:
                errors.append(exc)
            finally:
                source.close()
                connection.close()

        threads = [threading.Thread(target=log_in) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert errors == []
        assert stored_token(connector) == authority.refresh_token


def test_pain14_only_a_refused_grant_needs_a_person(shop: Shop, authority: Authority) -> None:
    with behind_tokens(shop, authority) as connector:
        job = make_job(connector, entity=ITEMS, sync_mode=SyncMode.FULL)
        authority.refused = Odd(b'{"error": "temporarily_unavailable"}', "400 Bad Request")
        record = run(job)
        assert record.state == State.QUEUED
        assert "temporarily_unavailable" in record.error + record.waiting_for
        SyncRecord.objects.filter(pk=record.pk).delete()
        authority.refused = None
        authority.refresh_token = "taken away"
        record = run(job)
        assert (record.state, record.error_code) == (State.FAILED, "auth_refused")
        assert stored_token(connector) == "refresh-0"


def test_a_token_that_is_never_taken_is_asked_for_once_more_and_no_more(
    shop: Shop, authority: Authority
) -> None:
    with behind_tokens(shop, authority, lambda: False) as connector:
        record = run(make_job(connector, entity=ITEMS, sync_mode=SyncMode.FULL))
        assert (record.state, record.error_code) == (State.FAILED, "auth_refused")
    assert authority.given == 2


def test_the_connection_test_stores_a_refresh_token_too(shop: Shop, authority: Authority) -> None:
    with behind_tokens(shop, authority) as connector:
        connector.entities = {"items": ITEMS}
        connector.save()
        results = {one.stage.value: one for one in examine_connector(connector)}
        assert {one.outcome for one in results.values()} <= {
            StageOutcome.PASSED,
            StageOutcome.SKIPPED,
        }
        assert results["list"].detail == "the first of the entities, items, is there"
        assert stored_token(connector) == authority.refresh_token


def test_who_gives_tokens_is_a_part_of_what_the_secret_is_for(
    shop: Shop, authority: Authority
) -> None:
    """Nobody points the connector at an authority of his own and gets the secret."""
    with behind_tokens(shop, authority) as connector, scripted_api(authority) as other:
        connector.options |= {"token_url": f"http://127.0.0.1:{other.port}/token"}
        connector.save()
        record = run(make_job(connector, entity=ITEMS, sync_mode=SyncMode.FULL))
        assert (record.state, record.error_code) == (State.FAILED, "auth_config")
        assert other.asked == []


def test_client_credentials_are_shown_in_the_form_where_basic_is_refused(shop: Shop) -> None:
    forms: list[dict[str, str]] = []

    def authority(asked: Asked) -> Any:
        forms.append(asked.form)
        if "client_secret" not in asked.form:
            return Odd(b'{"error": "invalid_client"}', "401 Unauthorized")
        return {"access_token": "t", "expires_in": 60}

    def answer(asked: Asked) -> Any:
        taken = asked.fields.get("authorization") == "Bearer t"
        return shop(asked) if taken else Odd(status="401 No")

    with scripted_api(authority) as tokens, scripted_api(answer) as api:
        target = api.target(
            auth="oauth2_client_credentials",
            token_url=f"http://127.0.0.1:{tokens.port}/token",
            client_id="us",
            scope="read all",
            secret=RestSecret(client_secret="hush"),
        )
        record = run(
            make_job(make_connector(target, kind="rest"), entity=ITEMS, sync_mode=SyncMode.FULL)
        )
    assert record.state == State.SUCCEEDED
    assert forms[0] == {"grant_type": "client_credentials", "scope": "read all"}
    assert forms[1] == forms[0] | {"client_id": "us", "client_secret": "hush"}
    assert len(forms) == 2
