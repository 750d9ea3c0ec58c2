"""Documents that hurt whoever trusts them: each costs itself, and no other."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from children.confinement import Confinement
from children.starting import start_module
from search.core.texts import Extracted, RefusalCode, TextRefusal
from search.extracting import extractor as extracting
from search.extracting import frames
from search.extracting.extractor import ChildUnavailable, Extractor
from tests.search.documents import GOOD, HOSTILE, LOCKED
from tests.search.lying_child import LIES

CHILD_KIB_MAX = 300 << 10
GROWN_KIB_MAX = 80 << 10


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("documents")
    made: dict[str, Callable[[], bytes]] = {**GOOD, **LOCKED}
    made |= {name: make for name, (make, _) in HOSTILE.items()}
    for name, make in made.items():
        (folder / name).write_bytes(make())
    command = [sys.executable, "-m", "tests.search.reading_batch", str(folder)]
    said = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
    found: dict[str, Any] = json.loads(said)
    return found


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_document_is_told_by_its_code(told: dict[str, Any], name: str) -> None:
    assert told["files"][name]["code"] in HOSTILE[name][1], told["files"][name]


@pytest.mark.parametrize("name", LOCKED)
def test_a_locked_document_is_told_by_its_code(told: dict[str, Any], name: str) -> None:
    assert told["files"][name]["code"] == "encrypted"


@pytest.mark.parametrize("name", [*GOOD, "deep.html", "attrs.html", "subject.eml", "headers.eml"])
def test_what_has_text_is_read_beside_them(told: dict[str, Any], name: str) -> None:
    assert told["files"][name]["words"], told["files"][name]


def test_memory_stays_flat_here_and_bounded_in_the_child(told: dict[str, Any]) -> None:
    assert 0 < told["child_kib"] <= CHILD_KIB_MAX
    assert told["grown_kib"] <= GROWN_KIB_MAX
    assert 1 < told["children"] <= len(HOSTILE)


def read(extractor: Extractor, name: str, content: bytes) -> Extracted | TextRefusal:
    return extractor.extract(name, lambda: io.BytesIO(content), len(content))


class Saboteur:
    """Sends a signal to the child while it reads a document."""

    def __init__(self) -> None:
        self.extractor: Extractor | None = None
        self.signal: signal.Signals | None = None

    def find_victim(self) -> int | None:
        return self.extractor.child_pid if self.extractor else None

    def look(self) -> None:
        pid = self.find_victim()
        if pid is not None and self.signal is not None:
            os.kill(pid, self.signal)
            self.signal = None


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (signal.SIGKILL, RefusalCode.EXTRACT_CRASHED),
        (signal.SIGSEGV, RefusalCode.EXTRACT_CRASHED),
        (signal.SIGXCPU, RefusalCode.EXTRACT_TIMEOUT),
        (signal.SIGSTOP, RefusalCode.EXTRACT_TIMEOUT),
    ],
)
def test_a_child_that_ends_or_hangs_costs_the_document_that_it_had(
    sent: signal.Signals, code: RefusalCode
) -> None:
    saboteur = Saboteur()
    with Extractor(saboteur.look, wall_s=2.0) as extractor:
        saboteur.extractor = extractor
        assert isinstance(read(extractor, "a.docx", GOOD["good.docx"]()), Extracted)
        before = saboteur.find_victim()
        for _ in range(50):  # a child may be too fast to be hit
            saboteur.signal = sent
            found = read(extractor, "a.pdf", GOOD["good.pdf"]())
            if isinstance(found, TextRefusal):
                break
            assert len(list(found.pieces)) > 0
        assert isinstance(found, TextRefusal)
        assert found.code is code
        assert saboteur.find_victim() is None
        extractor._wall_s = 60.0  # the machine may be slow
        assert isinstance(read(extractor, "a.docx", GOOD["good.docx"]()), Extracted)
        assert saboteur.find_victim() not in (None, before)
    assert saboteur.find_victim() is None


def test_a_child_that_ended_between_two_documents_costs_none() -> None:
    with Extractor() as extractor:
        read(extractor, "a.docx", GOOD["good.docx"]())
        assert extractor.child_pid is not None
        os.kill(extractor.child_pid, signal.SIGKILL)
        os.waitid(os.P_PID, extractor.child_pid, os.WEXITED | os.WNOWAIT)
        assert isinstance(read(extractor, "a.docx", GOOD["good.docx"]()), Extracted)


def test_one_child_reads_a_batch_and_plain_text_needs_none() -> None:
    with Extractor() as extractor:
        for name in ("good.txt", "good.md"):
            read(extractor, name, GOOD[name]())
        assert extractor.child_pid is None
        pids: set[int | None] = set()
        for name in ("good.docx", "good.pdf", "good.eml", "good.html"):
            read(extractor, name, GOOD[name]())
            pids.add(extractor.child_pid)
        assert len(pids) == 1
        pid = pids.pop()
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def test_whoever_asks_may_stop_while_a_document_is_read() -> None:
    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    with Extractor(stop) as extractor, pytest.raises(Stopped):
        read(extractor, "a.docx", GOOD["good.docx"]())
    assert extractor.child_pid is None


def test_no_document_is_blamed_for_a_child_that_does_not_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Extractor() as extractor, pytest.raises(ChildUnavailable, match="does not start"):
        read(extractor, "a.docx", GOOD["good.docx"]())


@pytest.mark.parametrize("lie", LIES)
def test_a_child_that_lies_is_ended_and_believed_nothing(
    lie: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start_liar(module: str, words: list[str], **given: Any) -> subprocess.Popen[bytes]:
        reach = Confinement(reading=(Path(frames.__file__).parents[1],))
        return start_module("tests.search.lying_child", [*words, lie], **given | {"reach": reach})

    with Extractor() as extractor:
        with monkeypatch.context() as patch:
            patch.setattr(extracting, "start_module", start_liar)
            found = read(extractor, "a.docx", GOOD["good.docx"]())
        assert isinstance(found, TextRefusal)
        assert found.code is RefusalCode.EXTRACT_CRASHED
        assert isinstance(read(extractor, "a.docx", GOOD["good.docx"]()), Extracted)


# -- damage


def damage(raw: bytes, chance: random.Random) -> bytes:
    made = bytearray(raw)
    for _ in range(chance.randint(1, 8)):
        at = chance.randrange(len(made) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            made[at:at] = chance.randbytes(chance.randint(1, 20))
        elif kind == 1:
            del made[at : at + chance.randint(1, 200)]
        elif kind == 2 and at < len(made):
            made[at] = chance.randrange(256)
        else:
            begin = chance.randrange(len(made) + 1)
            made[at:at] = made[begin : begin + chance.randint(1, 300)]
        made = made or bytearray(b"?")
    return bytes(made)


def damage_parts(raw: bytes, chance: random.Random) -> bytes:
    """The archive stays whole: the damage reaches the parser behind it."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(raw)) as given, zipfile.ZipFile(made, "w") as archive:
        for name in given.namelist():
            content = given.read(name)
            archive.writestr(name, damage(content, chance) if chance.random() < 0.5 else content)
    return made.getvalue()


# What a mistake of ours raises, and a damaged document does not.
OURS = {"NameError", "UnboundLocalError", "AttributeError", "ImportError", "ModuleNotFoundError", "AssertionError"}  # fmt: skip


@pytest.mark.parametrize("name", [one for one in GOOD if one not in ("good.txt", "good.md")])
def test_a_damaged_document_is_read_or_refused_by_a_code(name: str) -> None:
    good = GOOD[name]()
    chance = random.Random(name)  # noqa: S311 — the same damage in each run
    with Extractor() as extractor:
        for number in range(60):
            inner = number % 2 and good.startswith(b"PK")
            damaged = damage_parts(good, chance) if inner else damage(good, chance)
            found = read(extractor, name, damaged)
            if isinstance(found, Extracted):
                list(found.pieces)
                continue
            assert found.code in set(RefusalCode) - {RefusalCode.EXTRACT_TIMEOUT}, found
            assert found.note.partition(". ")[2].partition(":")[0] not in OURS, found
            assert "Too many open files" not in found.note, found
        assert isinstance(read(extractor, name, good), Extracted)
