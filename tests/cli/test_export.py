from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.core.management import call_command
from django.db import models, transaction
from hypothesis import Phase
from hypothesis import strategies as st
from pytest_django.fixtures import Settings

from cli.configfile import dump, load
from cli.management.commands.export import as_text
from connectors.models import Connector
from connectors.secrets import seal, unseal
from farends.registry import get_spec
from farends.spec import parse_options
from syncjobs.configuration.findings import Change
from syncjobs.configuration.yaml_in import apply_configuration
from syncjobs.configuration.yaml_out import export_configuration
from syncjobs.models import SyncJob
from syncjobs.order.job import OPTIONS
from syncjobs.order.option import options_of
from syncjobs.order.rows import RowOrder
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

ROOT = Path(__file__).parents[2]
LIMITS = [name for name, option in OPTIONS.items() if option.about.within == "limits"]


def exported() -> str:
    return as_text(export_configuration(Workspace.objects.all()))


def secrets_now() -> dict[str, str]:
    """By the variable that the text names: its names are in the order of the connectors."""
    names = export_configuration(Workspace.objects.all()).variables
    values = [
        unseal(row)[field]
        for row in Connector.objects.order_by("workspace__name", "name")
        for field in sorted(unseal(row))
    ]
    return dict(zip(names, values, strict=True))


def apply_text(text: str, folder: Path, environment: dict[str, str]) -> list[Change]:
    path = folder / "exported.yaml"
    path.write_text(text, encoding="utf-8")
    return apply_configuration(load(path, environment).document)


def everything() -> dict[str, Any]:
    """What a person can set, from the rows themselves."""
    found: dict[str, Any] = {}
    rows: list[Any] = [
        *Workspace.objects.all(),
        *Connector.objects.all(),
        *SyncJob.objects.all(),
    ]
    for row in rows:
        path = f"{type(row).__name__} {getattr(row, 'workspace', '')} {row.name}"
        found[path] = {
            field.name: getattr(row, field.name)
            for field in row._meta.concrete_fields
            if field.editable and not field.is_relation
        }
        if isinstance(row, SyncJob):
            found[path] |= {"connector": row.get_connector().name, "is_default": row.is_default}
        if isinstance(row, Connector):
            options = parse_options(get_spec(row.kind).options, row.options)
            found[path] |= {"secret": unseal(row), "options": options}
    return found


def assert_fixed_point(folder: Path) -> str:
    text, environment, before = exported(), secrets_now(), everything()
    again = apply_text(text, folder, environment)
    assert [change for change in again if change.action != "unchanged"] == []
    assert everything() == before
    assert exported() == text
    SyncJob.objects.all().delete()
    Connector.objects.all().delete()
    Workspace.objects.all().delete()
    apply_text(text, folder, environment)
    assert everything() == before
    assert exported() == text
    return text


# Every example of the docs, with all that stands there in comments, and values for what it refers to.
def test_an_export_of_one_workspace_goes_to_a_file_without_its_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply_configuration(load_text(documented()[0], tmp_path))
    Workspace.objects.create(name="other")
    call_command("export", "--workspace", "acme", "--output", str(tmp_path / "acme.yaml"))
    text = (tmp_path / "acme.yaml").read_text()
    assert "other" not in text
    assert "a key" not in text
    call_command("export")
    told = capsys.readouterr().out
    assert "name: other" in told
    assert told.replace("- name: other\n", "") == text


def test_jobs_mean_the_same_where_new_ones_have_other_defaults(
    tmp_path: Path, settings: Settings
) -> None:
    workspace = {
        "name": "acme",
        "connectors": [{"name": "host", "kind": "http", "host": "files.example.com"}],
        "sync_jobs": [
            {"name": "by-hand", "connector": "host", "schedule": {}},
            {"name": "usual", "connector": "host"},
        ],
    }
    apply_configuration({"workspaces": [workspace]})
    settings.SYNC = replace(settings.SYNC, sync_frequency="hourly", max_retries=7)
    assert_fixed_point(tmp_path)


def test_secrets_whose_variables_would_have_one_name_are_told_apart(tmp_path: Path) -> None:
    workspace = Workspace.objects.create(name="acme")
    for name, secret in (("a", {"jump_password": "x"}), ("a-jump", {"password": "y"})):
        row = Connector(workspace=workspace, name=name, kind="sftp", host="192.0.2.1", port=22)
        row.options = {"username": "sync"}
        seal(row, secret)
        row.save()
    assert len(set(export_configuration([workspace]).variables)) == 2
    assert_fixed_point(tmp_path)


def test_a_secret_that_does_not_open_is_said_and_left_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    row = Connector(
        workspace=Workspace.objects.create(name="acme"), name="a", kind="ftp", host="h", port=21
    )
    row.sealed_secret = "canary"
    row.save()
    call_command("export")
    told = capsys.readouterr()
    assert "acme/a: the stored secret does not open" in told.err
    assert "canary" not in told.out + told.err


def documented() -> list[str]:
    page = (ROOT / "docs" / "configuration.md").read_text()
    block = re.findall(r"```yaml\n(workspaces:.*?)```", page, re.DOTALL)[0]
    key = "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"
    plain = block.replace("SHA256:...", key).replace("${file:/run/secrets/reports_key}", "a key")
    full = re.sub(r"^( +)# (\w+: )", r"\1\2", plain, flags=re.MULTILINE)
    full = full.replace("after_publish: delete", "after_publish: keep")
    return [plain, full]


@pytest.mark.parametrize("example", documented(), ids=["as it stands", "with what is commented"])
def test_the_documented_example_is_a_fixed_point(example: str, tmp_path: Path) -> None:
    apply_configuration(load_text(example, tmp_path))
    text = assert_fixed_point(tmp_path)
    assert "${env:ACME_REPORTS_HOST_PRIVATE_KEY}" in text
    assert "#   ACME_REPORTS_HOST_PRIVATE_KEY" in text
    assert "a key" not in text


def load_text(text: str, folder: Path) -> Any:
    path = folder / "given.yaml"
    path.write_text(text)
    return load(path).document


NAMES = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,6}\Z").map(str.lower)
TEXT = st.text(
    st.one_of(
        st.sampled_from("${}'\":#-&*!|>%@`, \t\n\r\x85\u2028~=yn0123456789"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=20,
)
SAYING = st.one_of(TEXT, st.sampled_from(["${env:HOME}", "$${file:x}", "12:30", "null", "1e3"]))
WINDOW = st.fixed_dictionaries(
    {"from": st.sampled_from(["22:00", "06:30"]), "to": st.just("23:00")},
    optional={"days": st.just(["mon", "sun"]), "timezone": st.just("Europe/Berlin")},
)
BLACKOUT = st.fixed_dictionaries(
    {"since": st.just("2026-12-24T18:00:00Z"), "until": st.just("2026-12-27T06:00:00Z")},
    optional={"reason": SAYING},
)
POSITIVE = st.integers(1, 30_000)
MAYBE = st.none() | POSITIVE
TEXTS = st.lists(SAYING.map(lambda text: f"a{text}".replace("[", "(")), max_size=3)
SCHEDULES = st.sampled_from(
    [
        {},
        {"every_s": 900},
        {"every_s": 5, "counted_from": "end"},
        {"cron": "0 2 * * *", "timezone": "America/New_York"},
        {"frequency": "daily", "time": "20:30"},
        {"frequency": "weekly", "time": "02:00", "weekday": "sunday", "timezone": "Asia/Tokyo"},
    ]
)
WORKSPACE: dict[str, st.SearchStrategy[Any]] = {
    "max_running": MAYBE,
    "max_store_bytes": MAYBE,
    "keep_versions": MAYBE,
    "keep_days": st.none() | st.integers(1, 36_500),
    "keep_bytes": MAYBE,
    "one_sync_at_a_time": st.booleans(),
    "windows": st.lists(WINDOW, max_size=2),
    "blackouts": st.lists(BLACKOUT, max_size=2),
}
CONNECTOR: dict[str, st.SearchStrategy[Any]] = {
    "host": st.sampled_from(["files.example.com", "192.0.2.1"]),
    "port": st.sampled_from([21, 22, 80, 8080]),
    "status": st.sampled_from(["active", "paused"]),
    "auto_sync": st.booleans(),
    "sync_interval_s": POSITIVE,
    "max_running": MAYBE,
}
FAR_ENDS = st.one_of(
    st.fixed_dictionaries(
        {
            "kind": st.just("sftp"),
            "options": st.fixed_dictionaries(
                {"username": SAYING},
                optional={"root": st.sampled_from([".", "/x y"]), "compression": st.booleans()},
            ),
            "secret": st.dictionaries(
                st.sampled_from(["password", "private_key", "passphrase"]), TEXT.filter(bool)
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "kind": st.just("http"),
            "options": st.fixed_dictionaries(
                {},
                optional={
                    "idle_timeout_s": st.sampled_from([0, 0.0, 2.5]),
                    "sessions": st.integers(1, 32),
                },
            ),
            "secret": st.dictionaries(st.sampled_from(["token", "proxy_password"]), TEXT),
        }
    ),
)
JOB: dict[str, st.SearchStrategy[Any]] = {
    "include": TEXTS,
    "exclude": TEXTS,
    "filters": TEXTS.map(lambda texts: [f"- {text}" for text in texts]),
    "extensions": TEXTS,
    "sync_mode": st.sampled_from(["incremental", "full"]),
    "comparison": st.sampled_from(["modified", "checksum", "size", "etag"]),
    "verify_every_s": MAYBE,
    "on_delete": st.just("ignore"),
    "keep_versions": st.none() | st.integers(0, 9),
    "keep_days": st.none() | st.integers(1, 36_500),
    "keep_bytes": MAYBE,
    "after_publish": st.sampled_from(["keep", "delete", "move"]),
    "move_to": st.just("done"),
    "current_tree": st.just(""),  # two jobs never share one
    "index": st.sampled_from(["words_and_meaning", "words", "off"]),
    "schedule": SCHEDULES,
    "jitter_s": st.integers(0, 60),
    "misfire": st.sampled_from(["skip", "run_once", "catch_up"]),
    "catch_up_max": st.integers(1, 9),
    "max_lateness_s": MAYBE,
    "overlap": st.sampled_from(["queue", "skip", "cancel_older"]),
    "windows": st.lists(WINDOW, max_size=2),
    "blackouts": st.lists(BLACKOUT, max_size=2),
    "done_pattern": st.sampled_from(["", "{name}.ok", "_SUCCESS"]),
    "settle_s": st.integers(0, 60),
    "max_file_size_bytes": MAYBE,
    "max_age_s": MAYBE,
    "max_files": MAYBE,
    "max_bytes": MAYBE,
    "timeout_s": MAYBE,
    "max_attempts": POSITIVE,
    "enabled": st.booleans(),
    "tags": st.lists(SAYING.map(lambda text: f"a{text}"[:100]), max_size=3, unique=True),
    "pause_after_failures": MAYBE,
}


@hypothesis.settings(max_examples=250, deadline=None, database=None)
@hypothesis.given(st.lists(SAYING, max_size=3))
def test_any_text_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "texts.yaml"
    document = {"lists": [{"words": texts}], "within": {"inner": texts}}
    path.write_text(dump(document), encoding="utf-8")
    assert load(path, {}).document == document


@st.composite
def configurations(draw: st.DrawFn) -> dict[str, Any]:
    workspaces = []
    for name in draw(st.lists(NAMES, min_size=1, max_size=2, unique=True)):
        connectors = [
            {
                **{"name": each, "host": "files.example.com"},
                **draw(FAR_ENDS),
                **draw(some(CONNECTOR)),
            }
            for each in draw(st.lists(NAMES, min_size=1, max_size=3, unique=True))
        ]
        taken = [f"{each['name']}-auto" for each in connectors]
        names = [
            each for each in draw(st.lists(NAMES, max_size=3, unique=True)) if each not in taken
        ]
        jobs = [
            draw(job(each, draw(st.sampled_from(connectors)), names[:at]))
            for at, each in enumerate(names)
        ]
        for each in connectors:  # the edited default job of a connector
            if each.get("auto_sync") and draw(st.booleans()):
                edited = draw(job(f"{each['name']}-auto", each, []))
                edited.pop("schedule", None)
                jobs.append(edited)
        told = draw(some(WORKSPACE))
        workspaces.append({"name": name, **told, "connectors": connectors, "sync_jobs": jobs})
    return {"workspaces": workspaces}


@st.composite
def job(draw: st.DrawFn, name: str, connector: dict[str, Any], before: list[str]) -> dict[str, Any]:
    told: dict[str, Any] = draw(some(JOB))
    if connector["kind"] != "sftp":
        told.pop("after_publish", None)
    if told.get("after_publish", "keep") != "keep":
        told["on_delete"] = "ignore"
    if told.get("after_publish") == "move":
        told["move_to"] = "done"
    else:
        told.pop("move_to", None)
    if told.get("max_files") or told.get("max_bytes"):
        told.pop("verify_every_s", None)
    follows: bool = draw(st.booleans())
    if before and follows:
        told["schedule"] = {"after": before[-2:], "condition": "any_finished"}
    limits = {key: told.pop(key) for key in LIMITS if key in told}
    return {"name": name, "connector": connector["name"], **told, "limits": limits}


def some(fields: dict[str, st.SearchStrategy[Any]]) -> Any:
    return st.fixed_dictionaries({}, optional=fields)


@pytest.mark.timeout(1_800)
def test_export_after_apply_is_a_fixed_point(tmp_path: Path) -> None:
    made = 0

    @hypothesis.settings(max_examples=30, deadline=None, database=None, phases=[Phase.generate])
    @hypothesis.seed(1)
    @hypothesis.given(configurations())
    def check(document: dict[str, Any]) -> None:
        nonlocal made
        with transaction.atomic():
            apply_configuration(document)
            made += SyncJob.objects.count()
            assert_fixed_point(tmp_path)
            transaction.set_rollback(True)

    check()
    assert made > 10


@pytest.mark.parametrize(("model", "strategies"), [(Workspace, WORKSPACE), (SyncJob, JOB)])
def test_each_field_is_among_the_generated(
    model: type[models.Model], strategies: dict[str, Any]
) -> None:
    editable = {
        field.name
        for field in model._meta.concrete_fields
        if field.editable and not field.is_relation
    }
    of_rows = {option.name for option in options_of(RowOrder)} if model is SyncJob else set()
    assert editable - {"name"} - of_rows == set(strategies)
