from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection
from django.test.utils import CaptureQueriesContext

from connectors.models import Connector
from connectors.secrets import unseal
from datasets.models import Entry, Version
from syncjobs.models import SyncJob
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

CONFIG = """\
workspaces:
  - name: acme
    connectors:
      - name: reports-host
        kind: sftp
        host: files.example.com
        port: 22
        options: {username: sync, root: /exports, host_key: "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"}
        secret: {password: "${env:REPORTS_PASSWORD}", private_key: "${file:reports_key}"}
    sync_jobs:
      - name: nightly-reports
        connector: reports-host
        include: ["**/*.csv"]
        exclude: ["**/drafts/**"]
        sync_mode: incremental
        schedule: {cron: "0 2 * * *", timezone: "America/New_York"}
        misfire: run_once
        on_delete: keep_version
        limits: {max_file_size_bytes: 52428800, timeout_s: 7200}
        enabled: true
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REPORTS_PASSWORD", "canary-password")
    (tmp_path / "reports_key").write_text("canary-key\nsecond line\n")
    path = tmp_path / "acme.yaml"
    path.write_text(CONFIG)
    return path


def apply(path: Path, capsys: pytest.CaptureFixture[str]) -> str:
    call_command("apply", str(path))
    return capsys.readouterr().out


def refused(path: Path) -> str:
    with pytest.raises(CommandError) as caught:
        call_command("apply", str(path))
    return str(caught.value)


def test_what_the_file_says_is_there(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = apply(config, capsys)
    assert out.splitlines() == [
        "created    workspace acme",
        "created    connector reports-host",
        "created    sync job nightly-reports",
    ]
    connector = Connector.objects.get()
    job = SyncJob.objects.get()
    assert (connector.host, connector.port) == ("files.example.com", 22)
    assert unseal(connector) == {
        "password": "canary-password",
        "private_key": "canary-key\nsecond line",
    }
    assert (job.include, job.max_file_size_bytes, job.timeout_s) == (["**/*.csv"], 52428800, 7200)
    assert job.next_run_at is not None
    assert job.dataset.name == "nightly-reports"


def test_secrets_stay_out_of_output_and_rows(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with CaptureQueriesContext(connection) as queries:
        out = apply(config, capsys)
    assert "canary" not in out
    assert all("canary" not in query["sql"] for query in queries)


def test_a_dry_run_says_what_would_be_and_changes_nothing(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("apply", str(config), "--dry-run")
    planned = capsys.readouterr().out.splitlines()
    assert planned[-1] == "nothing was changed: this is what would be"
    assert not Workspace.objects.exists()
    assert planned[:-1] == apply(config, capsys).splitlines()
    config.write_text(CONFIG.replace("/exports", "/out"))
    call_command("apply", str(config), "--dry-run", "--json")
    told = json.loads(capsys.readouterr().out)
    assert told["dry_run"] is True
    changed = [each for each in told["changes"] if each["action"] == "changed"]
    assert [(each["name"], each["fields"]) for each in changed] == [("reports-host", ["options"])]
    assert Connector.objects.get().options["root"] == "/exports"


KEY = "SHA256:zyxwvutsrqponmlkjihgfedcbaABCDEFGHIJKLMNOPQ"
JUMP_KEY = "SHA256:jumpwvutsrqponmlkjihgfedcbaABCDEFGHIJKLMNOP"
WITHOUT_KEY = re.sub(", host_key: [^}]*", ", jump_host: gate.example.com", CONFIG)


def approve(option: str, key: str) -> None:
    stage = {"stage": "identity", "ok": False, "option": option, "offered": key}
    Connector.objects.update(last_test=[stage])
    call_command("approve_host_key", "reports-host", "--fingerprint", key)


def pins() -> tuple[str | None, str | None]:
    options = Connector.objects.get().options
    return options.get("host_key"), options.get("jump_host_key")


def test_a_key_that_a_person_approved_stays(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(WITHOUT_KEY)
    apply(config, capsys)
    approve("host_key", KEY)
    approve("jump_host_key", JUMP_KEY)
    capsys.readouterr()
    assert "unchanged  connector reports-host" in apply(config, capsys)
    assert pins() == (KEY, JUMP_KEY)
    config.write_text(WITHOUT_KEY.replace("/exports", "/out"))
    apply(config, capsys)
    assert (pins(), Connector.objects.get().options["root"]) == ((KEY, JUMP_KEY), "/out")


@pytest.mark.parametrize(
    ("old", "new", "left"),
    [
        ("files.example.com", "other.example.com", (None, JUMP_KEY)),
        ("port: 22", "port: 2222", (None, JUMP_KEY)),
        ("gate.example.com", "gate2.example.com", (KEY, None)),
        ("root: /exports", "root: /exports, host_key: null", (None, JUMP_KEY)),
        ("root: /exports", f'root: /exports, host_key: "{KEY[:-1]}R"', (f"{KEY[:-1]}R", JUMP_KEY)),
    ],
)
def test_an_approved_key_goes_with_its_host_or_by_the_file(
    config: Path,
    capsys: pytest.CaptureFixture[str],
    old: str,
    new: str,
    left: tuple[str | None, str | None],
) -> None:
    config.write_text(WITHOUT_KEY)
    apply(config, capsys)
    approve("host_key", KEY)
    approve("jump_host_key", JUMP_KEY)
    config.write_text(WITHOUT_KEY.replace(old, new))
    apply(config, capsys)
    assert pins() == left


def test_options_that_write_out_a_default_are_no_change(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(config, capsys)
    config.write_text(CONFIG.replace("root: /exports", "root: /exports, compression: false"))
    assert "unchanged  connector" in apply(config, capsys)


def test_many_jobs_are_one_transaction_and_few_queries_each(
    config: Path, django_assert_max_num_queries: Any
) -> None:
    head, _, job = CONFIG.partition("      - name: nightly-reports")
    job = "      - name: nightly-reports" + job

    def write(count: int) -> None:
        jobs = "".join(job.replace("nightly", f"nightly-{n}") for n in range(count))
        config.write_text(head + jobs)

    write(100)
    with CaptureQueriesContext(connection) as queries:
        call_command("apply", str(config))
    assert SyncJob.objects.count() == 100
    said = [query["sql"].split()[0] for query in queries]
    # A savepoint for each job, and one COMMIT for all: the one around this test.
    assert "COMMIT" not in said
    assert len([word for word in said if word not in ("SAVEPOINT", "RELEASE")]) < 100 * 9
    with django_assert_max_num_queries(20):
        call_command("apply", str(config))


def test_applying_again_changes_nothing(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    apply(config, capsys)
    sealed = Connector.objects.get().sealed_secret
    planned = SyncJob.objects.get().next_run_at
    out = apply(config, capsys)
    assert {line.split()[0] for line in out.splitlines()} == {"unchanged"}
    assert Connector.objects.get().sealed_secret == sealed
    assert SyncJob.objects.get().next_run_at == planned


def test_a_change_names_its_fields(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    apply(config, capsys)
    monkeypatch.setenv("REPORTS_PASSWORD", "another")
    config.write_text(CONFIG.replace("/exports", "/out").replace("7200", "60"))
    out = apply(config, capsys)
    assert "changed    connector reports-host (options, secret)" in out
    assert "changed    sync job nightly-reports (timeout_s)" in out
    assert unseal(Connector.objects.get())["password"] == "another"


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "    sync_jobs:",
            "    sync_job:",
            ":10: unknown word 'sync_job'; did you mean sync_jobs?",
        ),
        ("kind: sftp", "kind: sftpx", ":5: kind: no kind 'sftpx'; there are"),
        ("username: sync", "usrname: sync", "did you mean username?"),
        ("connector: reports-host", "connector: report-host", "did you mean reports-host?"),
        ("0 2 * * *", "99 2 * * *", ":16: schedule: cron"),
        ("New_York", "New_Yorck", ":16: schedule: no time zone"),
        ("sync_mode: incremental", "sync_mode: some", ":15: sync_mode"),
        ("sync_mode: incremental", "comparison: some", ":15: comparison"),
        ("port: 22", "port: 99999", ":7: port"),
        ('include: ["**/*.csv"]', 'include: ["[a"]', ":13: include"),
        ("name: nightly-reports", "name: nightly/reports", ":11: name"),
        ("${env:REPORTS_PASSWORD}", "${env:NOT_THERE}", ":9: the environment has no NOT_THERE"),
        ("${file:reports_key}", "${file:gone}", ":9: cannot read"),
        ("    connectors:", "    connectors: {", ":"),
        ("        port: 22", "        port: 22\n        port: 23", "stands here twice"),
        ("limits: {", "limits: {max_fils: 3, ", "unknown word 'max_fils'; did you mean max_files?"),
        ("misfire: run_once", "misfire: twice", ":17: misfire: no 'twice'; one of skip, run_once"),
        ("misfire: run_once", "misfire: catchup", "did you mean catch_up?"),
        ("misfire: run_once", "overlap: cancel_old", "did you mean cancel_older?"),
        ("misfire: run_once", "jitter_s: 86401", ":17: jitter_s"),
        ("misfire: run_once", "catch_up_max: 0", ":17: catch_up_max"),
        ("misfire: run_once", "windows: [{from: 22:00}]", ":17: windows: a window has from and to"),
        ("misfire: run_once", "windows: [{from: 9:00, to: 24:00}]", ":17: windows: from must be"),
        ("misfire: run_once", "blackouts: [{since: 2026-12-24}]", ":17: blackouts: a blackout has"),
        (
            "    connectors:",
            "    windows: {from: 22:00}\n    connectors:",
            ":3: windows: give a list",
        ),
        ("misfire: run_once", "jitter_s: !!binary aGk=", ":17: binary is nothing"),
    ],
)
def test_a_mistake_names_file_and_line_and_changes_nothing(
    config: Path, old: str, new: str, says: str
) -> None:
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, new))
    message = refused(config)
    assert str(config) in message
    assert says in message
    assert "canary" not in message
    assert not Workspace.objects.exists()


LAUGHS = "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        (f"a0: &a0 ha\n{LAUGHS}", 1, "over 1,000,000 values"),
        ("x: 1\na: &a [*a]\n", 2, "nested over 100 deep"),
        ("x: 1\na: &a {b: *a}\n", 2, "nested over 100 deep"),
        ("x: 1\na: " + "[" * 5_000, 2, "nested over 100 deep"),
        (f"a: &a {'x' * 100_000}\nb: [{', '.join(['*a'] * 700)}]\n", 1, "over 64 Mi characters"),
        (f"x: 1\nlong: {'1' * 100_000}\n", 2, "is no number"),
        (f"x: 1\nlong: 1{':1' * 100_000}\n", 2, "is no number"),
        ("x: 1\nb: ${file:/dev/zero}\n", 2, "cannot read /dev/zero: it is not a regular file"),
        ("x: 1\nb: ${file:pipe}\n", 2, "it is not a regular file"),
        ("x: 1\nb: ${file:.}\n", 2, "it is not a regular file"),
        ("x: 1\nb: ${file:sparse}\n", 2, "sparse: it is over 1 MiB"),
        ("x: 1\nb: [" + "'${file:large}${file:large}', " * 40 + "]", 2, "over 64 Mi"),
    ],
)
def test_what_has_no_end_is_refused_with_its_line(
    config: Path, text: str, line: int, says: str
) -> None:
    os.mkfifo(config.with_name("pipe"))
    with config.with_name("sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    config.with_name("large").write_text("x" * (1 << 20))
    config.write_text(text)
    message = refused(config)
    assert f"{config}:{line}: " in message
    assert says in message


@pytest.mark.parametrize("path", ["/dev/zero", "sparse"])
def test_a_file_that_has_no_end_is_refused(config: Path, path: str) -> None:
    with config.with_name("sparse").open("wb") as sparse:
        sparse.truncate(1 << 40)
    assert "over 16 MiB is no configuration" in refused(config.parent / path)


@pytest.mark.parametrize("text", ["$" * 200_000, "${env:" * 20_000])
def test_references_are_looked_for_in_a_time_that_grows_with_the_text(
    config: Path, text: str
) -> None:
    """With a quadratic search this does not end within the tests' time."""
    config.write_text(f"x: '{text}'\n")
    assert "unknown word 'x'" in refused(config)


@pytest.mark.parametrize("text", ["", "[]", "just text", "workspaces: 3", "workspaces: [3]"])
def test_what_is_no_configuration_is_refused(config: Path, text: str) -> None:
    config.write_text(text)
    assert "nothing was changed" in refused(config)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('include: ["**/*.csv"]', "include: '**/*.csv'"),
        ('include: ["**/*.csv"]', "include: [[a]]"),
        ('include: ["**/*.csv"]', "include: {a: b}"),
        ("timeout_s: 7200", "timeout_s: .inf"),
        ("timeout_s: 7200", "timeout_s: 2026-13-45"),
        ("enabled: true", "enabled: !!python/name:os.system x"),
        ("port: 22", "port: 22\n        auto_sync: true\n        sync_interval_s: 0"),
        ("    sync_jobs:", "    <<: {a: b}\n    sync_jobs:"),
        ("options: {", "options: [] #{"),
    ],
)
def test_odd_input_is_refused_like_any_other(config: Path, old: str, new: str) -> None:
    assert old in CONFIG
    config.write_text(CONFIG.replace(old, new))
    assert str(config) in refused(config)
    assert not Workspace.objects.exists()


@pytest.mark.parametrize("secret", ["text", "[a]", "5"])
def test_a_secret_is_a_mapping(config: Path, secret: str) -> None:
    line = next(line for line in CONFIG.splitlines() if "secret:" in line)
    config.write_text(CONFIG.replace(line, f"        secret: {secret}"))
    assert "must be a mapping" in refused(config)


def test_what_yaml_would_make_of_times_and_digits(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """YAML 1.1 reads 20:30 as 1230 and 012345 as 5349."""
    text = CONFIG.replace('"${env:REPORTS_PASSWORD}"', "012345")
    text = text.replace(
        '{cron: "0 2 * * *", timezone: "America/New_York"}', "{frequency: daily, time: 20:30}"
    )
    config.write_text(text)
    apply(config, capsys)
    assert unseal(Connector.objects.get())["password"] == "012345"
    assert SyncJob.objects.get().schedule == {"frequency": "daily", "time": "20:30"}


def test_a_missing_file_says_so(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "none.yaml")


def test_a_host_that_changes_needs_its_secret_again(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file brings the secret along, so it is bound to the new host; nothing old is sent there."""
    apply(config, capsys)
    config.write_text(CONFIG.replace("files.example.com", "other.example.com"))
    apply(config, capsys)
    assert unseal(Connector.objects.get())["password"] == "canary-password"


def test_a_changed_selection_tells_what_leaves_the_dataset(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(config, capsys)
    dataset = SyncJob.objects.get().dataset
    Version.objects.create(dataset=dataset, number=1, file_count=2, size_bytes=2)
    for path in ("a.csv", "old/b.csv"):
        Entry.objects.create(dataset=dataset, path=path, size_bytes=1, sha256=b"", since=1)
    config.write_text(CONFIG.replace("**/drafts/**", "old/**"))
    out = apply(config, capsys)
    assert "changed    sync job nightly-reports (exclude)" in out
    assert "1 files of 2 leave the next version, e.g. old/b.csv" in out
    assert "the next sync will be held" in out


def test_what_becomes_of_the_source_is_said_in_the_file(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    wish = 'on_delete: ignore\n        after_publish: move\n        move_to: done\n        done_pattern: "{name}.ok"'
    config.write_text(CONFIG.replace("on_delete: keep_version", wish))
    apply(config, capsys)
    job = SyncJob.objects.get()
    assert (job.after_publish, job.move_to, job.done_pattern) == ("move", "done", "{name}.ok")
    assert "unchanged  sync job" in apply(config, capsys)
    plain = wish.replace("move\n", "keep\n").replace("move_to: done", "move_to: null")
    config.write_text(CONFIG.replace("on_delete: keep_version", plain.replace('ok"', 'ok"')))
    assert "changed    sync job nightly-reports (after_publish, move_to)" in apply(config, capsys)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("enabled: true", "after_publish: delete", ":18: on_delete: after_publish: delete takes"),
        (
            "on_delete: keep_version",
            "on_delete: ignore\n        after_publish: burn",
            "after_publish",
        ),
        ("enabled: true", 'done_pattern: "{name}"', "every file would be a marker"),
        ("enabled: true", "move_to: ../x", "below the root"),
    ],
)
def test_what_does_not_fit_together_is_refused(config: Path, old: str, new: str, says: str) -> None:
    config.write_text(CONFIG.replace(old, new))
    assert says in refused(config)
    assert not Workspace.objects.exists()


NIGHTS = """\
    windows: [{from: 22:00, to: 06:00, timezone: Europe/Berlin}]
    blackouts:
      - {since: 2026-12-24 18:00:00, until: 2026-12-27, reason: Christmas}
    connectors:
"""
FOLLOWERS = """\
        enabled: true
        jitter_s: 60
        catch_up_max: 3
        max_lateness_s: 3600
        overlap: skip
        windows: [{days: [sat, sun], from: 20:30, to: 21:15}]
      - name: summary
        connector: reports-host
        schedule: {after: [mails, nightly-reports], condition: any_finished}
      - name: mails
        connector: reports-host
        schedule: {after: [nightly-reports]}
      - name: sweep
        connector: reports-host
        schedule: {every_s: 900, counted_from: end}
        misfire: catch_up
"""


@pytest.fixture
def scheduled(config: Path) -> str:
    text = CONFIG.replace("    connectors:\n", NIGHTS).replace("        enabled: true\n", FOLLOWERS)
    config.write_text(text)
    return text


def test_every_rule_of_a_schedule_is_said_in_the_file(
    config: Path, scheduled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    out = apply(config, capsys)
    assert [line.split()[-1] for line in out.splitlines()] == [
        "acme",
        "reports-host",
        "nightly-reports",
        "summary",
        "mails",
        "sweep",
    ]
    workspace = Workspace.objects.get()
    assert workspace.windows == [{"from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}]
    assert workspace.blackouts[0]["since"] == "2026-12-24 18:00:00"
    assert len(workspace.calendar.parts) == 2
    job = SyncJob.objects.get(name="nightly-reports")
    assert (job.jitter_s, job.catch_up_max, job.max_lateness_s) == (60, 3, 3600)
    assert (job.overlap, job.misfire) == ("skip", "run_once")
    assert job.windows == [{"days": ["sat", "sun"], "from": "20:30", "to": "21:15"}]
    summary = SyncJob.objects.get(name="summary")
    assert summary.schedule["after"] == ["mails", "nightly-reports"]
    sweep = SyncJob.objects.get(name="sweep")
    assert (sweep.schedule["counted_from"], sweep.misfire) == ("end", "catch_up")

    assert {line.split()[0] for line in apply(config, capsys).splitlines()} == {"unchanged"}
    config.write_text(scheduled.replace("jitter_s: 60", "jitter_s: null").replace("18:00", "19:00"))
    out = apply(config, capsys)
    assert "changed    workspace acme (blackouts)" in out
    assert "changed    sync job nightly-reports (jitter_s)" in out
    assert SyncJob.objects.get(name="nightly-reports").jitter_s == 0


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        (
            "[mails, night",
            "[mils, night",
            ":31: schedule: no sync job 'mils' in this workspace; did you mean mails?",
        ),
        (
            "{after: [nightly-reports]}",
            "{after: [summary]}",
            ":31: schedule: summary would run after itself: after mails, which runs after summary",
        ),
        (
            "{after: [nightly-reports]}",
            "{after: [mails]}",
            ":34: schedule: mails would run after itself: after mails",
        ),
        ("{after: [nightly-reports]}", "{after: mails}", ":34: schedule: after must be a list"),
        ("name: sweep", "name: mails", ":32: mails stands here twice"),
    ],
)
def test_parents_that_are_not_there_or_wait_for_their_followers_are_refused(
    config: Path, scheduled: str, old: str, new: str, says: str
) -> None:
    assert old in scheduled
    config.write_text(scheduled.replace(old, new))
    assert says in refused(config)
    assert not Workspace.objects.exists()


def test_followers_may_change_places(
    config: Path, scheduled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither the old nor the new order is a circle; both at once would be."""
    apply(config, capsys)
    config.write_text(
        scheduled.replace("{after: [nightly-reports]}", "{after: [summary]}").replace(
            "[mails, nightly-reports]", "[nightly-reports]"
        )
    )
    out = apply(config, capsys)
    assert "changed    sync job mails (schedule)" in out
    assert "changed    sync job summary (schedule)" in out


def test_a_circle_through_a_job_that_the_file_does_not_name_is_found(
    config: Path, scheduled: str, capsys: pytest.CaptureFixture[str]
) -> None:
    apply(config, capsys)
    config.write_text(
        CONFIG.replace('{cron: "0 2 * * *", timezone: "America/New_York"}', "{after: [summary]}")
    )
    assert ":16: schedule: nightly-reports would run after itself: after summary" in refused(config)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("exclude: ['re:(?!tmp).*']", "(?! is a look-ahead"),
        ("include: ['re:(a)\\1']", "reference to a group"),
        ("filters: ['- re:(?<=a)b']", "is a look-behind"),
    ],
)
def test_a_pattern_that_could_take_hours_is_refused(config: Path, rule: str, words: str) -> None:
    config.write_text(CONFIG.replace('exclude: ["**/drafts/**"]', rule))
    if rule.startswith("include"):
        config.write_text(config.read_text().replace('include: ["**/*.csv"]', ""))
    message = refused(config)
    assert words in message
    assert "two rules of `filters`" in message
    assert not SyncJob.objects.exists()
