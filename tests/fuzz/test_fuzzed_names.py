"""P4: fuzzed names over each protocol, through engine, store and catalog, with nothing changed outside the
store and every name accounted for. 10,000 by `make scale`, a quarter of them in every run of the suite."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from pytest_django.fixtures import Settings

from farends.contract import Reason
from farends.names import decode, from_text, to_text
from store.sentinel import SENTINEL
from syncjobs.core.states import State
from syncjobs.models import SyncRecord
from tests.fuzz.farends import FAR_ENDS, outcome_of
from tests.hosts.fuzzed import Fuzzed, content_of, fuzz, plant, write_lies
from tests.hosts.watch import snapshot, strange_in_store
from tests.rows import digests_of, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = 10_000
OF_EVERY_RUN = 2_500
SEED = 20_261_123


@pytest.fixture
def sandbox(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings) -> Path:
    """Working folder, home, temporary folder and store lie in it, deep enough for many `..`."""
    around = tmp_path / "around"
    deep = around.joinpath(*"abcdefghijkl")
    for name in ("cwd", "home", "tmp"):
        (deep / name).mkdir(parents=True)
    settings.STORE_ROOT = deep / "store"
    monkeypatch.setenv("HOME", str(deep / "home"))
    monkeypatch.setenv("TMPDIR", str(deep / "tmp"))
    monkeypatch.setattr(tempfile, "tempdir", str(deep / "tmp"))
    return around


@pytest.mark.parametrize("name", FAR_ENDS)
def test_p4_fuzzed_names_stay_names(
    name: str,
    sandbox: Path,
    tmp_path: Path,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    pytestconfig: pytest.Config,
) -> None:
    count = NAMES if pytestconfig.getoption("--thorough") else OF_EVERY_RUN
    far = FAR_ENDS[name]
    kinds = (
        far.kinds if os.geteuid() == 0 else far.kinds.translate({ord("c"): None, ord("b"): None})
    )
    names = fuzz(
        SEED, count, sandbox, carries=far.carries, plants=far.plants, kinds=kinds, lies=far.lies
    )
    served, home = tmp_path / "served", tmp_path / "server"
    served.mkdir()
    home.mkdir()
    plant(served, names)
    write_lies(home / "lies", names)
    with far.serve(home, served, home / "lies") as target:
        job = make_job(make_connector(target, kind=far.kind))
        monkeypatch.chdir(settings.STORE_ROOT.parent / "cwd")
        before = snapshot(sandbox, served, without=settings.STORE_ROOT)
        record = run(job)
    after = snapshot(sandbox, served, without=settings.STORE_ROOT)
    staged = str(settings.STORE_ROOT.parent / "tmp")  # a transport's own folder came and went
    assert {path for path in before | after if before.get(path) != after.get(path)} <= {staged}
    assert after.keys() == before.keys()
    assert strange_in_store(settings.STORE_ROOT) == []
    assert (settings.STORE_ROOT / SENTINEL).is_file()

    expected = expected_digests(names)
    assert digests_of(job.dataset) == expected
    assert_ledger(record, names, far_name=name, synced=len(expected))


def expected_digests(names: list[Fuzzed]) -> dict[str, str]:
    found = {}
    for each in names:
        if each.real and each.kind == "f":
            found[to_text(decode(each.name))] = content_of(each.name)
        elif each.real and each.kind == "d":
            found[to_text(decode(each.name + b"/inner"))] = content_of(b"inner")
    return {path: hashlib.sha256(content).hexdigest() for path, content in found.items()}


def assert_ledger(record: SyncRecord, names: list[Fuzzed], *, far_name: str, synced: int) -> None:
    """Every name is synced, or refused with a reason, and a surface can show each."""
    outcomes = Counter(outcome_of(FAR_ENDS[far_name], each) for each in names)
    assert outcomes.total() == len(names)
    failed = outcomes["gone"] + outcomes["unread"]
    items = list(record.items.values("path", "action", "error_code", "message"))
    assert Counter(item["action"] for item in items) == Counter(
        added=synced, skipped=outcomes["refused"], failed=failed
    )
    assert record.files_added == outcomes["synced"] == synced
    assert (record.files_skipped, record.files_failed) == (outcomes["refused"], failed)
    assert record.state == (State.PARTIAL if failed else State.SUCCEEDED)

    codes = {action: set[str]() for action in ("added", "skipped", "failed")}
    for item in items:
        codes[item["action"]].add(item["error_code"])
        assert item["action"] == "added" or 0 < len(item["message"]) < 1_000
        assert "\0" not in item["path"] + item["message"]
    assert codes["added"] == {""}
    assert codes["skipped"] <= {Reason.UNSAFE_NAME, Reason.LINK, Reason.SPECIAL}
    assert codes["failed"] <= {"vanished", Reason.UNREADABLE_ROW}
    shown = json.dumps(items, ensure_ascii=False).encode("utf-8")  # strict: no lone surrogate
    assert json.loads(shown) == items
    added = {from_text(item["path"]) for item in items if item["action"] == "added"}
    assert {os.fsencode(path).partition(b"/")[0] for path in added} == {
        each.name for each in names if outcome_of(FAR_ENDS[far_name], each) == "synced"
    }


def test_the_watch_sees_every_kind_of_change(tmp_path: Path) -> None:
    """The checker itself is checked."""
    root = tmp_path / "root"
    store = root / "store"
    (store / "acme").mkdir(parents=True)
    (root / "file").write_bytes(b"1")
    before = snapshot(root, without=store)
    (store / "acme" / "x").write_bytes(b"")
    assert snapshot(root, without=store) == before
    (root / "file").chmod(0o4755)
    (root / "link").symlink_to("/")
    assert {
        path for path, was in snapshot(root, without=store).items() if before.get(path) != was
    } == {str(root), str(root / "file"), str(root / "link")}

    assert strange_in_store(store) == [f"{store}/acme/x 100644"]
    blob = store / "acme" / ("0" * 64)
    (store / "acme" / "x").rename(blob)
    assert strange_in_store(store) == []
    blob.chmod(0o666)
    os.mkfifo(store / "acme" / ("1" * 64))
    assert len(strange_in_store(store)) == 2
