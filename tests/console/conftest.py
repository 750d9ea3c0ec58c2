"""Two workspaces with everything in them, and people of each role."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.auth.models import User
from django.db import connections
from django.test import Client
from django.utils import timezone
from playwright.sync_api import Browser, Page, sync_playwright
from pytest_django import Settings

from alerts.models import Alert, AlertChannel, AlertRule
from connectors.models import Connector
from connectors.secrets import seal
from datasets.models import Dataset, Entry, Version
from datasets.store import ensure_store, open_store
from events.models import SyncEvent
from outbox.models import Stream
from outbox.streams import save_stream
from syncjobs.configuration.jobs import save_job
from syncjobs.core.states import State
from syncjobs.models import SyncItem, SyncJob, SyncRecord, Trigger
from tests.alerts.making import make_alert, make_channel, make_rule
from tests.waiting import BUSY
from workspaces.models import ApiToken, Member, Role, Workspace
from workspaces.tokens import create_token

CHROMIUM = "/usr/bin/chromium"
WITHIN_MS = 20_000 * BUSY
CANARY = "canary-sEcReT/ä+41"
NASTY = "<img src=x onerror=alert(1)>"
PLAN = {
    "terms": {"digest": "d", "version": 1, "afterwards": "keep"},
    "files": 3,
    "bytes": 2048,
    "held_files": 9,
    "listing_complete": True,
    "guard": {"rule": "mass_removal", "reason": "4 of 9 files would be removed", "files": 4},
}


@dataclass
class Tenant:
    """One workspace's rows."""

    workspace: Workspace
    connector: Connector
    job: SyncJob
    record: SyncRecord
    dataset: Dataset
    version: Version
    entry: Entry
    token: ApiToken
    member: Member
    stream: Stream
    channel: AlertChannel
    rule: AlertRule
    alert: Alert
    raw_token: str
    people: dict[Role, User] = field(default_factory=dict)

    def rows(self) -> list[Any]:
        return [
            self.workspace,
            self.connector,
            self.job,
            self.record,
            self.dataset,
            self.version,
            self.token,
            self.member,
            self.stream,
            self.channel,
            self.rule,
            self.alert,
        ]


@pytest.fixture(autouse=True)
def _static(settings: Settings) -> None:
    """Static files by their plain names: nothing was collected for a test run."""
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    }
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def make_person(name: str, *, superuser: bool = False) -> User:
    user = get_user_model().objects.create_user(
        name, password="pass-" + name, is_staff=True, is_superuser=superuser
    )
    assert isinstance(user, User)
    return user


def make_record(job: SyncJob, state: State = State.SUCCEEDED, **fields: Any) -> SyncRecord:
    """A record as the lifecycle would have left it."""
    now = timezone.now()
    given: dict[str, Any] = {"trigger": Trigger.MANUAL, "started_at": now, "attempt": 1}
    if state == State.RUNNING:
        given |= {
            "lease_owner": "worker:1",
            "lease_expires_at": now + timedelta(seconds=20),
            "heartbeat_at": now,
            "claimed_at": now,
            "stage": "processing_files",
        }
    elif state == State.QUEUED:
        given |= {"started_at": None, "waiting_for": "a worker"}
    elif state != State.HELD:
        given |= {"finished_at": now + timedelta(seconds=7), "worked_s": 7.0}
    return SyncRecord.objects.create(
        workspace=job.workspace, job=job, connector=job.connector, state=state, **given | fields
    )


def make_blob(workspace: Workspace, content: bytes) -> bytes:
    store = open_store(workspace.pk)
    store.prepare()
    writer = store.create(uuid.uuid4().hex)
    writer.write(content)
    received = writer.finish()
    store.commit("attempt", [received])
    return received.sha256


def make_stream(workspace: Workspace, **fields: Any) -> Stream:
    client = Connector(
        workspace=workspace,
        name=f"{workspace.name}-meters",
        kind="client",
        host="127.0.0.1",
        port=9,
    )
    seal(client, {"token": CANARY})
    client.save()
    return save_stream(
        Stream(workspace=workspace, client=client, name=f"{workspace.name}-stream", **fields)
    )


def make_tenant(name: str) -> Tenant:
    workspace = Workspace.objects.create(name=name)
    connector = Connector(
        workspace=workspace,
        name=f"{name}-host",
        kind="sftp",
        host=f"{name}.example.com",
        port=22,
        options={"username": "sync", "root": "/exports"},
    )
    seal(connector, {"password": CANARY})
    connector.save()
    job = SyncJob(
        workspace=workspace,
        connector=connector,
        name=f"{name}-job",
        schedule={"cron": "0 2 * * *", "timezone": "Europe/Berlin"},
        include=["**/*.csv"],
    )
    save_job(job)
    record = make_record(job, files_added=1, bytes_transferred=11, dataset_version=1, error=NASTY)
    content = f"content of {name}".encode()
    digest = make_blob(workspace, content)
    version = Version.objects.create(
        dataset=job.dataset,
        number=1,
        record_id=record.pk,
        file_count=1,
        size_bytes=len(content),
        files_added=1,
    )
    entry = Entry.objects.create(
        dataset=job.dataset,
        path=f"{NASTY}/{name}.csv",
        size_bytes=len(content),
        modified_ns=1_760_000_000_000_000_000,
        source=None,
        sha256=digest,
        since=1,
    )
    SyncItem.objects.create(
        record=record, path=f"{name}-{NASTY}.csv", action="added", size_bytes=11, sha256=digest
    )
    SyncEvent.objects.create(
        record=record, workspace_id=record.workspace_id, event="succeeded", reason=NASTY
    )
    token, raw = create_token(workspace, name=f"{name}-token", role=Role.ADMIN)
    people = {role: make_person(f"{name}-{role}") for role in Role}
    members = [
        Member.objects.create(workspace=workspace, user=user, role=role)
        for role, user in people.items()
    ]
    rule = make_rule(f"{name}-rule", workspace=workspace)
    return Tenant(
        workspace,
        connector,
        job,
        record,
        job.dataset,
        version,
        entry,
        token,
        members[0],
        make_stream(workspace),
        make_channel(f"{name}-channel", f"json://hooks.example.com/{CANARY}", workspace=workspace),
        rule,
        make_alert(rule, subject_id=job.pk, subject_name=job.name, detail=NASTY),
        raw,
        people,
    )


@pytest.fixture
def acme(db: None) -> Tenant:
    ensure_store()
    return make_tenant("acme")


@pytest.fixture
def lab(acme: Tenant) -> Tenant:
    return make_tenant("lab")


@pytest.fixture
def root(db: None) -> Client:
    """A superuser's browser."""
    client = Client()
    client.force_login(make_person("root", superuser=True))
    return client


@pytest.fixture
def browser_of() -> Callable[[User], Client]:
    def open_browser(user: User) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return open_browser


@pytest.fixture
def chromium(monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    # Playwright runs an event loop in this thread, which Django would take for ours.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield opened
        opened.close()
        connections.close_all()  # beside a running loop Django keeps other ones than without


@pytest.fixture
def page(chromium: Browser) -> Page:
    opened = chromium.new_context().new_page()
    opened.set_default_timeout(WITHIN_MS)
    return opened
