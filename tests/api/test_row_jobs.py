"""Jobs of rows by REST and as text: their options, what is refused when they are saved, and what stays fixed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from connectors.models import Connector
from datasets.models import Table, Version
from embedded.ports import find_free
from farends.sftp.transport import SftpOptions, SftpSecret
from farends.spec import ROWS, Target
from syncjobs.configuration.findings import InvalidConfiguration
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.configuration.yaml_out import export_configuration
from syncjobs.models import SyncJob
from syncjobs.order.job import OPTIONS, belongs_to
from tests.api.asking import TREE, Asker, asker
from tests.hosts.databases import Database
from tests.rows import make_connector, make_job
from workspaces.models import Role

pytestmark = pytest.mark.django_db(transaction=True)

ORDERS: dict[str, Any] = {"name": "orders", "entity": {"table": "public.orders"}}
# Each option of a job of rows with another value than its default.
SINGLE: dict[str, Any] = {
    "name": "orders",
    "enabled": False,
    "entity": {"schema": "public", "table": "orders"},
    "columns": {"exclude": ["cust*"]},
    "key": ["id"],
    "cursor": {"field": "updated_at", "lag_s": 60},
    "on_schema_change": "hold",
    "on_row_error": "fail",
    "row_errors_max_share": 0.2,
    "on_delete": "mark",
    "sync_mode": "incremental",
    "verify_every_s": 86400,
    "schedule": {"every_s": 900},
    "limits": {"timeout_s": 7200},
}
SEVERAL: dict[str, Any] = {
    "name": "shop",
    "entities": {"include": ["orders", "public.l*"], "exclude": ["late"]},
    "overrides": {"public.orders": {"key": ["id"], "cursor": "updated_at", "columns": {"include": ["*"]}}},
    "sync_mode": "full",
    "cursor": None,
}  # fmt: skip


@pytest.fixture
def admin() -> Asker:
    return asker(Role.ADMIN)


@pytest.fixture
def files() -> Connector:
    return make_connector(Target("192.0.2.1", 22, SftpOptions(username="sync"), SftpSecret()))


@pytest.fixture
def warehouse(shop_database: Database) -> Connector:
    shop_database.session.execute("CREATE SCHEMA mart; CREATE TABLE mart.there (id int)")
    target = shop_database.target(writable=True, schemas=["mart"])
    return make_connector(target, kind="sql")


def send(who: Asker, method: str, path: str, body: Any = None) -> Any:
    return Client().generic(
        method,
        f"{TREE}/{path}",
        json.dumps(body),
        content_type="application/json",
        headers={"Authorization": f"Bearer {who.token}"},
    )


def create(who: Asker, connector: Connector, **fields: Any) -> dict[str, Any]:
    answer = send(who, "POST", "sync-jobs", {"connector": connector.name, **fields})
    assert answer.status_code == 201, answer.content
    told: dict[str, Any] = answer.json()
    return told


def refusal(answer: Any, status: int = 400) -> dict[str, list[str]]:
    assert answer.status_code == status, answer.content
    errors: dict[str, list[str]] = answer.json()["errors"]
    return errors


def without_moments(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "updated_at"}


@pytest.mark.parametrize("given", [SINGLE, SEVERAL, ORDERS, {"name": "all"}], ids=str)
def test_a_job_of_rows_comes_back_as_it_was_given(
    admin: Asker, shop: Connector, given: dict[str, Any]
) -> None:
    told = create(admin, shop, **given)
    assert {name: told[name] for name in given} == given
    assert (told["connector"], told["source_dataset"]) == (shop.name, None)
    own = {name for name in OPTIONS if belongs_to(name, ROWS)}
    assert own <= {*told, *told["limits"]}
    assert {"include", "comparison", "after_publish"} & {*told} == set()
    assert {*told["limits"]} == {"timeout_s"}
    put = send(admin, "PUT", f"sync-jobs/{told['name']}", told)
    assert put.status_code == 200, put.content
    assert without_moments(put.json()) == without_moments(told)
    assert admin.get(f"sync-jobs/{told['id']}").json() == put.json()
    assert admin.items("sync-jobs") == [put.json()]
    assert admin.get(f"sync-jobs/{told['id']}/status").json()["entity"] == told["entity"]


@pytest.mark.parametrize("name", [*SINGLE, *SEVERAL])
def test_a_change_takes_each_option_of_rows_alone(admin: Asker, shop: Connector, name: str) -> None:
    given = SINGLE if name in SINGLE else SEVERAL
    told = create(admin, shop, **given)
    changed = send(admin, "PATCH", f"sync-jobs/{told['id']}", {name: given[name]})
    assert changed.status_code == 200, changed.content
    assert without_moments(changed.json()) == without_moments(told)


def test_null_gives_defaults_back(admin: Asker, shop: Connector) -> None:
    told = create(admin, shop, **SINGLE)
    change = dict.fromkeys(("columns", "key", "on_row_error", "row_errors_max_share", "overrides"))
    changed = send(admin, "PATCH", f"sync-jobs/{told['id']}", change).json()
    assert [changed[name] for name in change] == [None, [], "quarantine", 0.01, {}]


def test_a_put_gives_what_is_not_named_its_default(admin: Asker, shop: Connector) -> None:
    told = create(admin, shop, **SINGLE)
    body = {"connector": shop.name, **ORDERS}
    put = send(admin, "PUT", f"sync-jobs/{told['id']}", body).json()
    assert (put["cursor"], put["key"], put["columns"]) == ({}, [], None)
    assert (put["on_delete"], put["on_schema_change"]) == ("keep_version", "extend")


@pytest.mark.parametrize(
    ("option", "value"), [("include", ["*.csv"]), ("comparison", "size"), ("limits", {"max_files": 3})]
)  # fmt: skip
def test_an_option_of_files_is_refused_by_name(
    admin: Asker, shop: Connector, option: str, value: Any
) -> None:
    body = {"connector": shop.name, **ORDERS, option: value}
    errors = refusal(send(admin, "POST", "sync-jobs", body))
    place = "limits.max_files" if option == "limits" else option
    assert "only jobs of files have it" in errors[place][0]
    told = create(admin, shop, **ORDERS)
    assert place in refusal(send(admin, "PATCH", f"sync-jobs/{told['id']}", {option: value}))


@pytest.mark.parametrize(
    ("option", "value"),
    [("entity", {"table": "a"}), ("key", ["id"]), ("cursor", None), ("on_row_error", "fail")],
)
def test_an_option_of_rows_is_refused_for_files_by_name(
    admin: Asker, files: Connector, option: str, value: Any
) -> None:
    body = {"name": "files", "connector": files.name, option: value}
    errors = refusal(send(admin, "POST", "sync-jobs", body))
    assert "only jobs of rows have it" in errors[option][0]
    assert "sftp" in errors[option][0]
    assert "mark" in refusal(
        send(admin, "POST", "sync-jobs", {"name": "f", "connector": files.name, "on_delete": "mark"})
    )["on_delete"][0]  # fmt: skip
    told = create(admin, files, name="files")
    assert "entity" not in told
    assert "source_dataset" not in told


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"entity": {"table": "a"}, "entities": {"include": ["a"]}}, "entities"),
        ({"entity": {"tabel": "a"}}, "entity.tabel"),
        ({"entity": {"table": ""}}, "entity.table"),
        ({"entity": {"table": "a", "format": "csv"}}, "entity.table"),
        ({"entity": {"schema": "a"}}, "entity"),
        ({"entity": []}, "entity"),
        ({"entity": "orders"}, "entity"),
        ({"entity": {"path": "/orders"}}, "entity"),
        ({"entities": {"include": "a"}}, "entities.include"),
        ({"entities": {"only": ["a"]}}, "entities.only"),
        ({"overrides": {"a": {"cursr": 1}}}, "overrides.a.cursr"),
        ({"overrides": {"public.a": {"cursor": None}}}, "overrides.public.a.cursor"),
        ({"entity": {"table": "orders"}, "overrides": {"orders": {}}}, "overrides"),
        ({"entity": {"table": "orders"}, "columns": {"exclude": ["id"]}, "key": ["id"]}, "columns.exclude"),
        ({"entity": {"table": "orders"}, "cursor": None}, "cursor"),
        ({"entity": {"table": "orders"}, "cursor": {"lag_s": 1}}, "cursor"),
        ({"entity": {"table": "orders"}, "cursor": {"field": "a", "lag_s": -1}}, "cursor.lag_s"),
        ({"entity": {"table": "orders"}, "cursor": {"field": "a", "param": "since"}}, "cursor.param"),
        ({"entity": {"table": "orders"}, "cursor": "updated_att"}, "cursor"),
        ({"entity": {"table": "orders"}, "key": ["id", "id"]}, "key"),
        ({"entity": {"table": "orders"}, "key": ["idd"]}, "key"),
        ({"entity": {"table": "late"}, "key": ["id"], "cursor": "xmin"}, "cursor"),
        ({"row_errors_max_share": 1.5}, "row_errors_max_share"),
        ({"on_schema_change": "drop"}, "on_schema_change"),
        ({"on_delete": "forget"}, "on_delete"),
    ],
    ids=str,
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_place(
    admin: Asker, shop: Connector, given: dict[str, Any], place: str
) -> None:
    answer = send(admin, "POST", "sync-jobs", {"name": "odd", "connector": shop.name, **given})
    assert list(refusal(answer)) == [place]
    assert not SyncJob.objects.exists()


def test_a_table_without_a_key_is_refused_for_incremental(admin: Asker, shop: Connector) -> None:
    body = {"name": "keyless", "connector": shop.name, "entity": {"table": "keyless"}}
    errors = refusal(send(admin, "POST", "sync-jobs", body))
    assert list(errors) == ["key"]
    assert "public.keyless has no primary key" in errors["key"][0]
    told = create(admin, shop, name="keyless", entity=body["entity"], sync_mode="full")
    back = send(admin, "PATCH", f"sync-jobs/{told['id']}", {"sync_mode": "incremental"})
    assert list(refusal(back)) == ["key"]
    named = {"sync_mode": "incremental", "key": ["day", "amount"]}
    assert send(admin, "PATCH", f"sync-jobs/{told['id']}", named).status_code == 200


def test_a_source_that_is_away_keeps_nobody_from_saving(
    admin: Asker, shop_database: Database
) -> None:
    away = make_connector(shop_database.target(port=find_free()), kind="sql")
    create(admin, away, name="keyless", entity={"table": "keyless"})
    create(admin, away, name="missing", entity={"table": "missing"})


def test_what_made_the_versions_stays(admin: Asker, shop: Connector) -> None:
    told = create(admin, shop, **ORDERS, key=["id"])
    path = f"sync-jobs/{told['id']}"
    changes: list[dict[str, Any]] = [{"entity": {"table": "orders"}}, {"key": []}]
    for change in changes:
        assert send(admin, "PATCH", path, change).status_code == 200
    assert send(admin, "PATCH", path, {"entity": ORDERS["entity"]}).status_code == 200
    job = SyncJob.objects.get()
    Version.objects.create(dataset=job.dataset, number=1, file_count=0, size_bytes=0)
    Table.objects.create(
        dataset=job.dataset, name="public.orders", schema="w", relation="orders", version=1,
        mark={"kind": "xmin", "field": "xmin", "text": "700", "proof": {}},
    )  # fmt: skip
    changes = [
        {"entity": {"table": "late"}, "key": ["id"], "cursor": "updated_at"},
        {"entity": None},
        {"key": ["id"]},
    ]
    for change, field in zip(changes, ("entity", "entity", "key"), strict=True):
        assert field in refusal(send(admin, "PATCH", path, change), 409)
    same = {"entity": {"schema": "public", "table": "orders"}, "on_delete": "ignore"}
    assert send(admin, "PATCH", path, same).status_code == 200
    assert Table.objects.get().mark is not None
    assert send(admin, "PATCH", path, {"cursor": "updated_at"}).status_code == 200
    assert Table.objects.get().mark is None  # the next record reads everything


def test_a_job_keeps_to_its_kind_of_connector(
    admin: Asker, shop: Connector, files: Connector
) -> None:
    told = create(admin, shop, **ORDERS)
    change = send(admin, "PATCH", f"sync-jobs/{told['id']}", {"connector": files.name})
    assert list(refusal(change)) == ["connector"]


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ({"connector": "nowhere"}, "destination.connector"),
        ({"connector": "SHOP"}, "destination.connector"),
        ({"connector": "FILES"}, "destination.connector"),
        ({"schema": "mart"}, "destination"),
        ({"connector": "WAREHOUSE", "schema": "public"}, "destination.schema"),
        ({"connector": "WAREHOUSE", "schema": "pg_catalog"}, "destination.schema"),
        ({"connector": "WAREHOUSE", "schema": "information_schema"}, "destination.schema"),
        ({"connector": "WAREHOUSE", "schema": "syncproject_staging"}, "destination.schema"),
        ({"connector": "WAREHOUSE", "table": "there"}, "destination.table"),
        ({"connector": "WAREHOUSE", "tabel": "there"}, "destination.tabel"),
        ({"connector": "WAREHOUSE", "table": "ö" * 32}, "destination.table"),
    ],
    ids=str,
)
def test_a_destination_that_will_not_do_is_refused(
    admin: Asker,
    shop: Connector,
    files: Connector,
    warehouse: Connector,
    given: dict[str, Any],
    place: str,
) -> None:
    names = {"SHOP": shop.name, "FILES": files.name, "WAREHOUSE": warehouse.name}
    written = {name: names.get(value, value) for name, value in given.items()}
    body = {"connector": shop.name, **ORDERS, "destination": written}
    assert list(refusal(send(admin, "POST", "sync-jobs", body))) == [place]


def test_a_destination_comes_back_by_name(
    admin: Asker, shop: Connector, warehouse: Connector
) -> None:
    told = create(admin, shop, **ORDERS, destination={"connector": str(warehouse.pk)})
    assert told["destination"] == {"connector": warehouse.name, "schema": "mart"}
    assert send(admin, "PUT", f"sync-jobs/{told['id']}", told).status_code == 200
    renamed = send(admin, "PATCH", f"connectors/{warehouse.pk}", {"name": "mart-host"})
    assert renamed.status_code == 200, renamed.content
    assert admin.get("sync-jobs/orders").json()["destination"]["connector"] == "mart-host"
    gone = send(admin, "DELETE", "connectors/mart-host")
    assert (gone.status_code, "orders" in gone.json()["detail"]) == (409, True)
    second = {"connector": shop.name, **ORDERS, "name": "again", "destination": told["destination"]}
    second["destination"]["connector"] = "mart-host"
    taken = refusal(send(admin, "POST", "sync-jobs", second))
    assert (list(taken), "orders fills mart.orders" in str(taken)) == (["destination.table"], True)
    second["destination"]["table"] = "there"
    second["destination"]["adopt"] = True
    assert send(admin, "POST", "sync-jobs", second).status_code == 201


def test_the_products_own_database_is_no_destination(
    admin: Asker, shop: Connector, shop_database: Database
) -> None:
    home = connection.settings_dict
    target = shop_database.target(writable=True, schemas=["mart"])
    own = make_connector(target, kind="sql")
    Connector.objects.filter(pk=own.pk).update(
        host="localhost", port=home["PORT"], options=own.options | {"database": home["NAME"]}
    )
    body = {"connector": shop.name, **ORDERS, "destination": {"connector": own.name}}
    errors = refusal(send(admin, "POST", "sync-jobs", body))
    assert list(errors) == ["destination.connector"]
    assert "own database" in errors["destination.connector"][0]


def test_the_seeds_body_works_word_for_word(
    admin: Asker, shop: Connector, warehouse: Connector
) -> None:
    body = {
        "name": "Hourly Shop Sync",
        "dataSourceId": str(shop.pk),
        "destinationDatabaseId": str(warehouse.pk),
        "schedule": {"cron": "0 * * * *", "timezone": "America/New_York"},
        "syncMode": "incremental",
        "entityFilter": ["orders", "inv*"],
        "enabled": True,
    }
    told = send(admin, "POST", "sync-jobs", body)
    assert told.status_code == 201, told.content
    made = told.json()
    assert made["entities"] == {"include": ["orders", "inv*"]}
    assert made["destination"] == {"connector": warehouse.name, "schema": "mart"}
    unknown = body | {"name": "other", "destinationDatabaseId": "nowhere"}
    errors = refusal(send(admin, "POST", "sync-jobs", unknown))
    assert {*errors} == {"destination.connector", "destinationDatabaseId"}
    unwritable = body | {"name": "other", "destinationDatabaseId": shop.name}
    assert "destinationDatabaseId" in refusal(send(admin, "POST", "sync-jobs", unwritable))
    both = body | {"name": "other", "destination": {"connector": warehouse.name}}
    assert send(admin, "POST", "sync-jobs", both).status_code == 400


TEXT: dict[str, Any] = {
    "name": "acme",
    "connectors": [
        {
            "name": "stripe",
            "kind": "rest",
            "host": "api.stripe.com",
            "options": {"base": "/v1"},
            "entities": {
                "customers": {
                    "path": "/customers",
                    "records": "data",
                    "key": ["id"],
                    "page": {"param": "limit", "size": 100},
                    "next": {"cursor": "data[-1].id", "param": "starting_after", "more": "has_more"},
                }
            },
        }
    ],
    "sync_jobs": [
        {
            "name": "customers",
            "connector": "stripe",
            "entity": "customers",
            "cursor": {"field": "created", "param": "created[gte]", "format": "epoch", "lag_s": 3600},
            "schedule": {"every_s": 900},
        }
    ],
}  # fmt: skip


def test_what_is_exported_is_applied_without_a_change(
    shop: Connector, warehouse: Connector
) -> None:
    make_job(shop, name="all", on_delete="mark", overrides={"public.orders": {"key": ["id"]}})
    job = make_job(
        shop,
        name="orders",
        entity={"table": "orders"},
        destination={"connector": str(warehouse.pk), "schema": "mart"},
    )
    told = export_configuration([job.workspace]).document
    entry = next(each for each in told["workspaces"][0]["sync_jobs"] if each["name"] == "orders")
    assert entry["destination"] == {"connector": warehouse.name, "schema": "mart"}
    assert not {"include", "comparison", "key"} & {*entry}
    for connector in told["workspaces"][0]["connectors"]:
        connector.pop("secret", None)
    changes = apply_configuration(told)
    assert {change.action for change in changes} == {"unchanged"}


def test_resources_of_an_api_are_kept_with_their_connector(admin: Asker, settings: Any) -> None:
    settings.ALLOWED_NETWORKS = ()
    changes = apply_configuration({"workspaces": [TEXT]})
    assert [change.action for change in changes][-2:] == ["created", "created"]
    assert {change.action for change in apply_configuration({"workspaces": [TEXT]})} == {
        "unchanged"
    }
    told = admin.get("connectors/stripe").json()
    assert told["entities"] == TEXT["connectors"][0]["entities"]
    put = send(admin, "PUT", "connectors/stripe", told)
    assert put.status_code == 200, put.content
    assert put.json()["entities"] == told["entities"]
    assert admin.get("sync-jobs/customers").json()["entity"] == "customers"
    unknown = send(admin, "PATCH", "sync-jobs/customers", {"entity": "custmers"})
    assert "did you mean customers?" in refusal(unknown)["entity"][0]
    for name in ("host", "name"):
        assert send(admin, "PATCH", "connectors/stripe", {name: told[name]}).json()["entities"]


WINDOWS = {"from": "from", "to": "to", "start": "2026-01-01", "step_s": 3600}


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        ({"next": {"url": "next"}}, "entities.a"),
        ({"path": "/a", "next": {}}, "entities.a.next"),
        ({"path": "/a", "next": {"url": "a", "link": "next"}}, "entities.a.next"),
        ({"path": "/a", "next": {"cursor": "a"}}, "entities.a.next"),
        ({"path": "/a", "next": {"url": "a", "more": "b"}}, "entities.a.next.more"),
        ({"path": "/a", "next": {"cursor": "a..b", "param": "p"}}, "entities.a.next.cursor"),
        ({"path": "/a", "next": {"page": "page", "start": "1"}}, "entities.a.next.start"),
        ({"path": "/a", "page": {"size": 100}}, "entities.a.page"),
        ({"path": "/a", "page": {"param": "n", "size": 0}}, "entities.a.page.size"),
        ({"path": "/a", "records": "data["}, "entities.a.records"),
        ({"path": "/a", "headers": {}}, "entities.a.headers"),
        ({"path": "/a", "slices": {}}, "entities.a.slices"),
        ({"path": "/a", "slices": {"values": ["eu"]}}, "entities.a.slices"),
        ({"path": "/a", "slices": {"param": "r", "values": []}}, "entities.a.slices.values"),
        ({"path": "/a", "slices": {"param": "r", "values": [1, "1"]}}, "entities.a.slices.values"),
        (
            {"path": "/a", "slices": {"param": "r", "values": [1], "to": "t"}},
            "entities.a.slices.to",
        ),
        ({"path": "/a", "slices": WINDOWS | {"to": "from"}}, "entities.a.slices.to"),
        ({"path": "/a", "slices": WINDOWS | {"start": "2026-02-30"}}, "entities.a.slices.start"),
        ({"path": "/a", "slices": WINDOWS | {"start": "yesterday"}}, "entities.a.slices.start"),
        ({"path": "/a", "slices": WINDOWS | {"step_s": 1}}, "entities.a.slices.step_s"),
        ({"path": "/a", "slices": WINDOWS | {"format": "text"}}, "entities.a.slices.format"),
        ({"path": "/a", "slices": WINDOWS, "params": {"to": 1}}, "entities.a.params.to"),
        ({"path": "/a", "slices": WINDOWS, "next": {"page": "to"}}, "entities.a.slices"),
        (
            {"path": "/a", "slices": WINDOWS, "cursor": {"field": "a", "param": "to"}},
            "entities.a.cursor.param",
        ),
        ([], "entities.a"),
    ],
    ids=str,
)
def test_a_resource_that_cannot_be_meant_is_refused_with_its_place(
    admin: Asker, resource: Any, place: str
) -> None:
    body = {"name": "api", "kind": "rest", "host": "api.example.com", "entities": {"a": resource}}
    assert list(refusal(send(admin, "POST", "connectors", body))) == [place]


def test_slices_are_kept_and_no_cursor_writes_their_parameter(admin: Asker) -> None:
    body = {"name": "api", "kind": "rest", "host": "api.example.com"}
    assert send(admin, "POST", "connectors", body).status_code == 201
    sliced = {"path": "/a", "slices": WINDOWS}
    job = {"name": "a", "connector": "api", "entity": sliced, "key": ["id"], "schedule": None}
    cursor = {"field": "at", "param": "to"}
    refused = refusal(send(admin, "POST", "sync-jobs", job | {"cursor": cursor}))
    assert list(refused) == ["cursor.param"]
    told = send(admin, "POST", "sync-jobs", job | {"cursor": cursor | {"param": "from"}})
    assert (told.status_code, told.json()["entity"]) == (201, sliced), told.content


def test_only_apis_have_resources(admin: Asker) -> None:
    body = {
        "name": "files",
        "kind": "sftp",
        "host": "files.example.com",
        "options": {"username": "sync"},
        "entities": {"a": {"path": "/a"}},
    }
    errors = refusal(send(admin, "POST", "connectors", body))
    assert errors == {"entities": ["entities: only connectors of kind rest have it"]}


def test_a_file_that_is_wrong_says_where(shop: Connector) -> None:
    job = {
        "name": "odd",
        "connector": shop.name,
        "entity": {"table": "orders", "x": 1},
        "cursor": None,
    }
    with pytest.raises(InvalidConfiguration) as caught:
        apply_configuration({"workspaces": [{"name": "acme", "sync_jobs": [job]}]})
    (problem, *_) = caught.value.problems
    assert problem.path == ("workspaces", 0, "sync_jobs", 0, "entity", "x")


def test_a_new_far_end_of_a_file_is_asked_before_its_job_is_saved(shop_database: Database) -> None:
    target = shop_database.target()
    document = {
        "workspaces": [
            {
                "name": "acme",
                "connectors": [
                    {
                        "name": "shop",
                        "kind": "sql",
                        "host": target.host,
                        "port": target.port,
                        "options": {
                            "engine": "postgresql",
                            "database": shop_database.name,
                            "username": shop_database.username,
                            "tls": "off",
                        },
                        "secret": {"password": shop_database.password},
                    }
                ],
                "sync_jobs": [{"name": "k", "connector": "shop", "entity": {"table": "keyless"}}],
            }
        ]
    }
    with pytest.raises(InvalidConfiguration, match="no primary key"):
        apply_configuration(document)
    assert not Connector.objects.exists()
    document["workspaces"][0]["sync_jobs"][0]["entity"] = {"table": "orders"}  # type: ignore[index]
    assert [change.action for change in apply_configuration(document)] == ["created"] * 3
