"""What a database offers, by REST: its tables before a job is made for them."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from connectors.models import Connector
from embedded.ports import find_free
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import Target
from syncjobs.models import SyncJob, SyncRecord
from tests.api.asking import Asker, asker
from tests.hosts.databases import Database
from tests.rows import make_connector
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def operator() -> Asker:
    return asker(Role.OPERATOR)


def path_of(connector: Connector, name: str) -> str:
    return f"connectors/{connector.pk}/entities/{quote(name, safe='')}/preview"


def test_tables_are_listed_with_what_a_job_would_say_of_them(
    operator: Asker, shop: Connector
) -> None:
    told = {item["name"]: item for item in operator.items(f"connectors/{shop.name}/entities")}
    orders = told["public.orders"]
    assert orders["entity"] == {"schema": "public", "table": "orders"}
    assert (orders["kind"], orders["key"], orders["key_from"]) == ("table", ["id"], "primary")
    assert orders["columns"][0] == {
        "name": "id",
        "source_type": "bigint",
        "type": "bigint",
        "nullable": False,
    }
    assert {"cursor": "xmin", "proposed": True} in orders["cursors"]
    assert {"cursor": {"field": "updated_at"}, "proposed": False} in orders["cursors"]
    assert (told["public.keyless"]["key"], told["public.keyless"]["key_from"]) == ([], "none")
    assert told["public.late"]["kind"] == "view"


def test_tables_are_listed_by_the_page_and_by_prefix(operator: Asker, shop: Connector) -> None:
    path = f"connectors/{shop.pk}/entities"
    whole = [item["name"] for item in operator.items(path)]
    assert [item["name"] for item in operator.items(path, limit=1)] == whole
    assert whole == sorted(whole)
    found = operator.items(path, prefix="public.o")
    assert [item["name"] for item in found] == ["public.orders"]
    assert operator.get(path, {"cursor": "!"}).status_code == 400
    assert operator.get(path, {"prefix": "a\0"}).status_code == 400


def test_the_first_rows_are_shown_as_text(operator: Asker, shop: Connector) -> None:
    told = operator.get(path_of(shop, "public.orders"), {"limit": 2}).json()
    assert [column["name"] for column in told["columns"]] == ["id", "customer", "qty", "updated_at"]
    assert told["items"][0] == {
        "id": "1",
        "customer": "customer 1",
        "qty": "1",
        "updated_at": "2026-01-01 00:01:00+00",
    }
    assert (len(told["items"]), told["complete"]) == (2, False)
    assert len(operator.get(path_of(shop, "public.orders")).json()["items"]) == 20
    keyless = operator.get(path_of(shop, "public.keyless")).json()
    assert keyless["complete"]
    assert {"day": None, "amount": None} in keyless["items"]
    for limit in (0, 101, "x"):
        refused = operator.get(path_of(shop, "public.orders"), {"limit": limit})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, ["limit"])


def test_a_long_cell_is_cut(operator: Asker, shop: Connector) -> None:
    rows = operator.get(path_of(shop, "public.long")).json()["items"]
    shown = {row["id"]: row["text"] for row in rows}
    assert shown == {"1": "x" * 1024, "2": "x" * 1024 + "…", "3": None}


def test_a_name_with_a_slash_and_other_signs_is_found(operator: Asker, shop: Connector) -> None:
    name = 'public.a/b c%"x'
    assert name in [item["name"] for item in operator.items(f"connectors/{shop.pk}/entities")]
    answer = operator.get(path_of(shop, name))
    assert (answer.status_code, answer.json()["items"]) == (200, [])


def test_what_is_not_saved_is_previewed_too(operator: Asker, shop: Connector) -> None:
    path = f"connectors/{shop.pk}/preview"
    told = operator.post(path, {"entity": {"table": "public.orders"}, "limit": 1})
    assert told.status_code == 200, told.content
    assert [row["id"] for row in told.json()["items"]] == ["1"]
    assert operator.post(path, {"entity": {"table": "nothing"}}).status_code == 404
    for entity, field in [
        ({"tabel": "orders"}, "entity.tabel"),
        ({"schema": "public"}, "entity"),
        ({"path": "/orders"}, "entity"),
        ({"table": "a\0b"}, "entity.table"),
        (None, "entity"),
    ]:
        refused = operator.post(path, {"entity": entity})
        assert (refused.status_code, list(refused.json()["errors"])) == (400, [field]), entity
    assert operator.post(path, {"entity": {"table": "orders"}, "limit": 101}).status_code == 400


def test_nothing_of_a_look_is_stored(operator: Asker, shop: Connector) -> None:
    operator.get(path_of(shop, "public.orders"))
    assert not SyncJob.objects.exists()
    assert not SyncRecord.objects.exists()


def test_what_is_not_there_is_not_found(operator: Asker, shop: Connector) -> None:
    for name in ("public.nothing", "orders", "public.orders\0", "x" * 3_000):
        answer = operator.get(path_of(shop, name))
        assert (answer.status_code, answer.json()["detail"]) == (404, "There is no such entity.")


def test_a_far_end_that_fails_is_told_with_its_code(
    operator: Asker, shop_database: Database
) -> None:
    gone = make_connector(shop_database.target(port=find_free()), kind="sql")
    wrong = make_connector(shop_database.target(password="another"), kind="sql")
    for connector, code in ((gone, "unreachable"), (wrong, "auth_refused")):
        for path in (f"connectors/{connector.pk}/entities", path_of(connector, "public.orders")):
            answer = operator.get(path)
            assert (answer.status_code, answer.json()["code"]) == (502, code), path


def test_a_connector_of_files_offers_no_tables(operator: Asker) -> None:
    target = Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret())
    files = make_connector(target)
    assert operator.get(f"connectors/{files.pk}/entities").status_code == 409
    assert operator.get(path_of(files, "orders")).status_code == 404
    for entity in ({"table": "orders"}, {"path": "/orders"}, "orders"):
        refused = operator.post(f"connectors/{files.pk}/preview", {"entity": entity})
        assert refused.status_code == 409


def test_T20_viewers_and_other_workspaces_see_nothing_of_a_source(
    operator: Asker, shop_database: Database, shop: Connector
) -> None:
    theirs = make_connector(shop_database.target(), kind="sql", workspace="lab")
    viewer = asker(Role.VIEWER, name="viewer")
    paths = ("entities", f"entities/{quote('public.orders', safe='')}/preview")
    for path in paths:
        assert viewer.get(f"connectors/{shop.pk}/{path}").status_code == 403
        hidden = operator.get(f"connectors/{theirs.pk}/{path}")
        missing = operator.get(f"connectors/{shop_database.name}/{path}")
        assert (hidden.status_code, hidden.content) == (404, missing.content)
    body: Any = {"entity": {"table": "orders"}}
    assert viewer.post(f"connectors/{shop.pk}/preview", body).status_code == 403
    hidden = operator.post(f"connectors/{theirs.pk}/preview", body)
    missing = operator.post("connectors/none/preview", body)
    assert (hidden.status_code, hidden.content) == (404, missing.content)
