"""Connectors: two steps, fields from the Spec, secrets in and never out, tests, host keys."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from connectors.models import Connector
from connectors.secrets import seal, unseal
from embedded import ports
from farends.errors import AuthConfig
from syncjobs.configuration.jobs import save_job
from syncjobs.models import SyncJob
from tests.console.conftest import CANARY, Tenant, make_record
from tests.console.urls import add_to, list_of, page_of, press
from tests.hosts.sshd import make_key
from workspaces.models import Role


def _fields(connector: Connector, **changed: Any) -> dict[str, Any]:
    """What the page's form sends, as it is shown."""
    return {
        "name": connector.name,
        "host": connector.host,
        "port": connector.port,
        "status": "active",
        "sync_interval_s": "3600",
        "option_username": "sync",
        "option_root": "/exports",
    } | changed


def _save(browser: Client, connector: Connector, **changed: Any) -> str:
    """The page that follows; the connector is read again."""
    response = browser.post(page_of(connector), _fields(connector, **changed), follow=True)
    connector.refresh_from_db()
    assert response.status_code == 200
    text: str = response.content.decode()
    assert CANARY not in text
    return text


def test_adding_takes_two_steps_and_the_kinds_own_port(acme: Tenant, root: Client) -> None:
    answer = root.post(
        add_to(Connector),
        {"workspace": acme.workspace.pk, "name": "web", "kind": "https", "host": "w.example.com"},
    )
    connector = Connector.objects.get(name="web")
    assert connector.port == 443
    assert answer["Location"] == page_of(connector)
    assert "option_" in root.get(page_of(connector)).content.decode()


def test_fields_come_from_the_spec_and_secrets_show_empty(acme: Tenant, root: Client) -> None:
    text = root.get(page_of(acme.connector)).content.decode()
    assert 'name="option_username"' in text
    assert 'value="/exports"' in text
    assert 'type="password" name="secret_password"' in text
    assert '<textarea name="secret_private_key"' in text
    assert "Stored. Leave empty to keep it." in text
    assert CANARY not in text


def test_saving_without_a_secret_keeps_it(acme: Tenant, root: Client) -> None:
    _save(root, acme.connector, option_root="/other")
    assert acme.connector.options["root"] == "/other"
    assert unseal(acme.connector) == {"password": CANARY}


def test_a_new_secret_joins_the_stored_one(acme: Tenant, root: Client, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", "ed25519").replace("\n", "\r\n")
    _save(root, acme.connector, secret_private_key=key)
    assert unseal(acme.connector) == {
        "password": CANARY,
        "private_key": key.replace("\r\n", "\n"),
    }


def test_a_broken_private_key_is_told_beside_its_field(
    acme: Tenant, root: Client, tmp_path: Path
) -> None:
    key = make_key(tmp_path / "key", "ed25519", passphrase="open, sesame")
    broken = {
        (tmp_path / "key.pub").read_text(): "Is the public key: paste the other file",
        key[:150]: "Is cut off: its last line",
        key: "Needs its passphrase: enter it below.",
    }
    for text, words in broken.items():
        answer = root.post(
            page_of(acme.connector), _fields(acme.connector, secret_private_key=text)
        )
        [told] = answer.context["adminform"].form.errors["secret_private_key"]
        assert words in told
    acme.connector.refresh_from_db()
    assert unseal(acme.connector) == {"password": CANARY}
    _save(root, acme.connector, secret_private_key=key, secret_passphrase="open, sesame")
    assert "private_key" in unseal(acme.connector)


def test_an_address_in_place_of_a_host_is_split_on_request(acme: Tenant, root: Client) -> None:
    typed = {
        "workspace": str(acme.workspace.pk),
        "name": "edi",
        "kind": "https",
        "host": "sftp://ann:pw@edi.example.com:2222/in",
    }
    answer = root.post(add_to(Connector), typed)
    page = answer.content.decode()
    assert "Its parts: host edi.example.com; port 2222; folder /in; kind SFTP; user ann." in page
    assert "The password in it is not taken over" in page
    assert 'value="sftp://ann:pw@edi.example.com:2222/in"' in page
    assert not Connector.objects.filter(name="edi").exists()
    root.post(add_to(Connector), typed | {"_split_host": "host"})
    made = Connector.objects.get(name="edi")
    assert (made.kind, made.host, made.port) == ("sftp", "edi.example.com", 2222)
    assert made.options == {"root": "/in", "username": "ann"}


def test_parts_of_an_address_outlive_another_mistake(acme: Tenant, root: Client) -> None:
    typed = {
        "workspace": str(acme.workspace.pk),
        "name": "no name!",
        "kind": "sftp",
        "host": "edi.example.com/in",
        "_split_host": "host",
    }
    page = root.post(add_to(Connector), typed).content.decode()
    assert '<input type="hidden" name="option_root" value="/in"' in page
    assert 'value="edi.example.com"' in page


def test_a_stored_connector_keeps_its_kind_when_an_address_is_split(
    acme: Tenant, root: Client
) -> None:
    page = _save(root, acme.connector, host="https://acme.example.com/x")
    assert "This is an address of kind HTTPS, and this connector is of kind SFTP" in page
    page = _save(root, acme.connector, host="acme.example.com:22/new")
    assert "host acme.example.com; port 22; folder /new" in page
    _save(root, acme.connector, host="acme.example.com:22/new", _split_host="host")
    assert (acme.connector.host, acme.connector.options["root"]) == ("acme.example.com", "/new")


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("host", "two words", "A host name has no blanks in it."),
        ("host", "\\\\server\\share", "a path of Windows"),
        ("port", "70000", "A port is a number from 1 to 65535."),
        ("port", "0", "A port is a number from 1 to 65535."),
    ],
)
def test_a_host_and_a_port_that_cannot_be_are_told(
    acme: Tenant, root: Client, field: str, value: str, words: str
) -> None:
    page = root.post(page_of(acme.connector), _fields(acme.connector, **{field: value}))
    assert words in page.content.decode()
    typed = {"workspace": str(acme.workspace.pk), "name": "new", "kind": "sftp", "host": "h"}
    page = root.post(add_to(Connector), typed | {field: value})
    assert words in page.content.decode()


def test_a_secret_can_be_forgotten(acme: Tenant, root: Client) -> None:
    _save(root, acme.connector, forget_secret="on")
    assert acme.connector.sealed_secret == ""
    assert "Not stored." in root.get(page_of(acme.connector)).content.decode()


def test_another_endpoint_asks_for_the_secret_again(acme: Tenant, root: Client) -> None:
    text = _save(root, acme.connector, host="elsewhere.example.com")
    assert "enter it again" in text
    assert acme.connector.host == "acme.example.com"
    _save(root, acme.connector, host="elsewhere.example.com", secret_password="fresh")
    assert acme.connector.host == "elsewhere.example.com"
    assert unseal(acme.connector) == {"password": "fresh"}


def test_a_rejected_form_does_not_give_the_secret_back(acme: Tenant, root: Client) -> None:
    text = _save(
        root,
        acme.connector,
        name="not a name!",
        secret_password=CANARY,
        secret_private_key=CANARY,
    )
    assert "use letters, digits" in text


def test_wrong_options_are_told_beside_their_field(acme: Tenant, root: Client) -> None:
    response = root.post(page_of(acme.connector), _fields(acme.connector, option_username=""))
    form = response.context["adminform"].form
    assert form.errors == {"option_username": ["Is required."]}


def test_names_are_unique_in_their_workspace(acme: Tenant, root: Client) -> None:
    other = Connector.objects.create(
        workspace=acme.workspace, name="taken", kind="sftp", host="h", port=22
    )
    assert "already exists" in _save(root, acme.connector, name=other.name)


def test_a_viewer_sees_options_but_no_form(
    acme: Tenant, browser_of: Callable[[User], Client]
) -> None:
    browser = browser_of(acme.people[Role.VIEWER])
    text = browser.get(page_of(acme.connector)).content.decode()
    assert "/exports" in text
    assert "stored: password" in text
    assert 'name="option_username"' not in text
    assert press(acme.connector, "test") not in text


def _point_at_nobody(connector: Connector) -> None:
    connector.host, connector.port = "127.0.0.1", ports.find_free()
    seal(connector, {"password": CANARY})
    connector.save()


def test_the_test_button_keeps_what_each_stage_said(acme: Tenant, root: Client) -> None:
    _point_at_nobody(acme.connector)
    text = root.post(press(acme.connector, "test"), follow=True).content.decode()
    acme.connector.refresh_from_db()
    assert acme.connector.last_test is not None
    outcomes = {stage["stage"]: stage["outcome"] for stage in acme.connector.last_test}
    assert outcomes["resolve"] == "passed"
    assert outcomes["connect"] == "failed"
    assert 'data-outcome="failed"' in text


def test_the_test_action_of_the_list_tests_the_selected(acme: Tenant, root: Client) -> None:
    _point_at_nobody(acme.connector)
    selected = {"action": "test_selected", "_selected_action": [str(acme.connector.pk)]}
    root.post(list_of(Connector), selected)
    acme.connector.refresh_from_db()
    assert acme.connector.last_test_at is not None


def test_a_connector_that_cannot_be_tested_says_why(acme: Tenant, root: Client) -> None:
    Connector.objects.filter(pk=acme.connector.pk).update(host="moved.example.com")
    text = root.post(press(acme.connector, "test"), follow=True).content.decode()
    assert "the secret was stored for" in text


NEW_KEY = "SHA256:pX3mTq7vYd0u5aCk9LwRZr1sN8eBfHj2GgQoVt4Ui6M"
APPROVED = {"offered": NEW_KEY, "last": "t4Ui6M"}


@pytest.fixture
def offered(acme: Tenant) -> Connector:
    acme.connector.last_test = [
        {
            "stage": "identity",
            "outcome": "failed",
            "detail": "",
            "advice": "",
            "offered": NEW_KEY,
            "option": "host_key",
        }
    ]
    acme.connector.options["host_key"] = "SHA256:old"
    _point_at_nobody(acme.connector)
    return acme.connector


def _approval(connector: Connector) -> str:
    return reverse("admin:connectors_connector_host_key", args=[connector.pk])


def test_a_host_key_is_pinned_after_a_look_at_old_and_new(offered: Connector, root: Client) -> None:
    for page in (page_of(offered), _approval(offered)):
        text = root.get(page).content.decode()
        assert "SHA256:old" in text
        assert NEW_KEY in text
    assert (
        "shows another key than the one you approved" in root.get(page_of(offered)).content.decode()
    )
    text = root.post(_approval(offered), APPROVED, follow=True).content.decode()
    offered.refresh_from_db()
    assert offered.options["host_key"] == NEW_KEY
    assert "The host key is approved." in text
    assert [stage["stage"] for stage in offered.last_test or []][:1] == [
        "resolve"
    ]  # tested at once
    assert _approval(offered) not in root.get(page_of(offered)).content.decode()


@pytest.mark.parametrize("last", ["", "4Ui6M", "T4UI6M", "VkvK/r", NEW_KEY])
def test_a_host_key_is_not_pinned_unless_its_end_is_typed(
    offered: Connector, root: Client, last: str
) -> None:
    tested_at = offered.last_test_at
    text = root.post(_approval(offered), APPROVED | {"last": last}, follow=True).content.decode()
    assert "Nothing was approved" in text
    offered.refresh_from_db()
    assert offered.options["host_key"] == "SHA256:old"
    assert offered.last_test_at == tested_at


def test_a_jump_host_s_key_is_pinned_as_its_own(offered: Connector, root: Client) -> None:
    assert offered.last_test is not None
    offered.last_test[0]["option"] = "jump_host_key"
    offered.options |= {"jump_host": "127.0.0.1", "jump_port": ports.find_free()}
    offered.save()
    assert "The jump host is new here" in root.get(page_of(offered)).content.decode()
    text = root.get(_approval(offered)).content.decode()
    assert "This jump host is new here" in text
    assert "SHA256:old" not in text
    root.post(_approval(offered), APPROVED)
    offered.refresh_from_db()
    assert offered.options["host_key"] == "SHA256:old"
    assert offered.options["jump_host_key"] == NEW_KEY


@pytest.mark.parametrize(
    "change",
    [
        {"option_proxy": "socks5://127.0.0.1:1080"},
        {"option_jump_host": "127.0.0.1"},
    ],
)
def test_p13_a_secret_takes_no_way_that_it_was_not_stored_for(
    acme: Tenant, root: Client, change: dict[str, str]
) -> None:
    connector = acme.connector
    assert "goes nowhere else" in _save(root, connector, **change)
    assert unseal(connector) == {"password": CANARY}
    _save(root, connector, secret_password="fresh", **change)
    assert unseal(connector) == {"password": "fresh"}
    connector.options = {**connector.options, "jump_port": 2222, "proxy": "http://127.0.0.1:1"}
    with pytest.raises(AuthConfig, match="stored for"):
        unseal(connector)


def test_advanced_options_stay_out_of_sight_until_they_are_wrong(
    acme: Tenant, root: Client
) -> None:
    page = root.get(page_of(acme.connector))
    advanced = list(page.context["adminform"])[-2]
    assert advanced.name == "Advanced"
    assert advanced.is_collapsible
    assert "option_proxy" in advanced.fields
    assert "secret_jump_private_key" in advanced.fields
    shown = root.post(page_of(acme.connector), _fields(acme.connector, option_proxy="nonsense"))
    assert shown.context["adminform"].form.errors == {
        "option_proxy": ["Must be like socks5://host:1080 or http://host:3128."]
    }
    assert not list(shown.context["adminform"])[-2].is_collapsible
    _save(root, acme.connector, option_idle_timeout_s="0", option_connect_timeout_s="3.5")
    assert acme.connector.options["connect_timeout_s"] == 3.5
    assert "idle_timeout_s" not in acme.connector.options


def test_only_the_key_that_was_shown_is_pinned(offered: Connector, root: Client) -> None:
    for other in ("SHA256:a-third", ""):
        given = {"offered": other, "last": other[-6:]}
        text = root.post(_approval(offered), given, follow=True).content.decode()
        assert "has shown another key since" in text
    offered.refresh_from_db()
    assert offered.options["host_key"] == "SHA256:old"


def test_approving_a_host_key_takes_an_admin(
    offered: Connector, acme: Tenant, browser_of: Callable[[User], Client]
) -> None:
    for role, status in ((Role.VIEWER, 403), (Role.OPERATOR, 403), (Role.ADMIN, 302)):
        browser = browser_of(acme.people[role])
        answer = browser.post(_approval(offered), APPROVED)
        assert answer.status_code == status


@pytest.mark.django_db(transaction=True)  # time passes
def test_the_page_tells_what_is_known_of_the_far_end(acme: Tenant, root: Client) -> None:
    _point_at_nobody(acme.connector)
    for _ in range(3):
        root.post(press(acme.connector, "check"))
    text = root.get(page_of(acme.connector)).content.decode()
    assert "It cannot be reached." in text
    assert text.count('data-passed="no"') == 3
    assert "Last 3 checks, oldest first: 0 answered, 3 failed" in text
    assert re.search(r"Last 24 hours, oldest first: (not known for [^,]*, )?offline for", text)
    assert acme.job.name in text
    assert "acme-job: last 1 records, 0 failed" in text


@pytest.mark.django_db(transaction=True)  # time passes
def test_what_is_not_watched_is_shown_as_not_watched(acme: Tenant, root: Client) -> None:
    root.post(press(acme.connector, "unwatch"))
    text = root.get(page_of(acme.connector)).content.decode()
    assert "not watched</span>" in text
    assert "nobody looks whether it can be reached" in text
    assert "No check: they are switched off." in text
    root.post(press(acme.connector, "watch"))
    _save(root, acme.connector, status="paused")
    text = root.get(page_of(acme.connector)).content.decode()
    assert "not watched</span>" in text
    assert "No check: they are switched off while the connector is paused." in text
    assert "not watched for" in text  # on the lane of the last day


def test_a_passed_test_leads_to_a_job(
    acme: Tenant, root: Client, browser_of: Callable[[User], Client]
) -> None:
    connector = acme.connector
    connector.last_test_at, connector.last_test = (
        timezone.now(),
        [{"stage": "resolve", "outcome": "passed"}],
    )
    connector.save()
    page = page_of(connector)
    to_job = f"{add_to(SyncJob)}?connector={connector.pk}&amp;workspace={acme.workspace.pk}"
    assert to_job in root.get(page).content.decode()
    operator = browser_of(acme.people[Role.OPERATOR])
    assert to_job not in operator.get(page).content.decode()
    other = Connector.objects.create(
        workspace=acme.workspace, name="new", kind="sftp", host="h", port=22,
        last_test=connector.last_test, last_test_at=connector.last_test_at,
    )  # fmt: skip
    text = root.get(page_of(other)).content.decode()
    assert "The connection test passed. A job says" in text
    assert f"{add_to(SyncJob)}?connector={other.pk}" in text


def test_settings_are_folded_until_there_is_something_to_fill_in(
    acme: Tenant, root: Client
) -> None:
    page = page_of(acme.connector)
    opened = '<details class="sp-card sp-fold-set" id="settings" open>'
    assert opened in root.get(page).content.decode()  # never tested
    acme.connector.last_test_at = timezone.now()
    acme.connector.save()
    assert opened not in root.get(page).content.decode()
    assert opened in root.get(page, {"settings": "1"}).content.decode()
    wrong = root.post(page, _fields(acme.connector, option_username=""))
    assert opened in wrong.content.decode()


def test_a_connectors_page_costs_few_queries(
    acme: Tenant, root: Client, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(12):
        job = SyncJob(workspace=acme.workspace, connector=acme.connector, name=f"job-{number}")
        save_job(job)
        make_record(job)
    root.get(page_of(acme.connector))
    with django_assert_max_num_queries(15):
        root.get(page_of(acme.connector))


def test_a_connector_in_use_is_not_deleted(acme: Tenant, root: Client) -> None:
    page = page_of(acme.connector).replace("change", "delete")
    text = root.get(page).content.decode()
    assert "1 sync job" in text
    root.post(page, {"post": "yes"})
    assert Connector.objects.filter(pk=acme.connector.pk).exists()
