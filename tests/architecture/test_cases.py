"""The cases of names, links, protocols, disk and queue that the product is held against: each has a test
that carries its id, so that `grep test_.*h10` finds it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
CASES = {
    "n01": "a name that climbs out of its folder is refused and told",
    "n03": "a row that names nothing, `.`, or a path is refused",
    "n04": "NUL is refused before any system call or query",
    "n05": "a line end in a name, a user name or a password is never sent",
    "n07": "too long, too deep: that file fails, others go on",
    "n08": "invalid UTF-8 is kept, and valid JSON outside",
    "n10": "names that other systems reserve are data",
    "n13": "an empty listing where files were is held",
    "n14": "a listing that is cut never counts as whole",
    "n15": "a folder that fails keeps its state",
    "n17": "shell words are data",
    "n18": "markup in a name is escaped",
    "n19": "a million entries, or no end of them, in flat memory",
    "l01": "links are told, not followed",
    "l02": "nothing behind a link is asked for",
    "l03": "loops end",
    "l05": "hard links in tar are refused",
    "l06": "what is no file is never opened",
    "l07": "modes stay where they are",
    "h01": "a short body is truncated",
    "h03": "chunks without an end are truncated",
    "h04": "a length that is none is a violation",
    "h06": "a drip is stalled",
    "h08": "coded bodies are refused",
    "h10": "a range that was not honoured is never appended",
    "h12": "weak validators prove nothing",
    "h14": "each hop of a redirect is judged anew",
    "h15": "netrc and proxies of the environment are ignored",
    "h16": "bad certificates and old TLS are refused",
    "h18": "Retry-After is obeyed and capped",
    "f01": "short data and 226 are truncated",
    "f02": "a transfer without a proper end is bounded",
    "f05": "an ignored REST is noticed",
    "f07": "data come from the control peer's address",
    "f09": "no plain text where TLS was asked for",
    "f10": "a password over plain FTP needs a flag",
    "f12": "a drip is stalled",
    "f13": "421 is throttling",
    "s01": "an unknown host key is never trusted",
    "s02": "a changed host key is refused for good",
    "s05": "a size that lies is no file",
    "s07": "data without end are cut",
    "s08": "a cut file is gone on with",
    "s10": "refused log-ins leave nothing behind",
    "s12": "bad private keys are told without a byte of them",
    "r04": "a daemon that stalls is stalled, and its child killed",
    "r05": "only files and folders arrive",
    "r06": "every exit code is mapped",
    "r07": "no secret in a process list",
    "r09": "a file that changes meanwhile fails alone",
    "q01": "a killed worker's record is taken over",
    "q02": "a zombie writes nothing",
    "q04": "a broker that forgets, dies, hangs, is full or read-only costs time only",
    "q05": "a database that restarts leaves no half state",
    "q07": "poisoned messages are refused and the worker lives",
    "q08": "each fire is served once, or told",
    "q09": "an edit is seen at the next tick, among as many jobs as there are",
    "q10": "a crowd or a slow host in one workspace keeps no other waiting",
    "q11": "leap days, gaps and overlaps of the clock, zones that are none",
    "q13": "a source that is back meets no herd",
    "d01": "a full disk fails the record in whole, and the next one works",
    "d04": "a store that is away or read-only is refused before anything is fetched",
    "d05": "a kill anywhere leaves a whole version or none",
    "d06": "a worker without file descriptors fails cleanly",
    "d07": "a record that costs three workers is quarantined",
    "d10": "an attempt clears away what is its own",
    "d11": "a sweep breaks neither a reader nor a writer",
    "d14": "a file written to while it is read is told",
    "x01": "no address in disguise, and none of the machine's own, is dialled",
    "x05": "another workspace's ids are told like those that do not exist",
    "x07": "a secret that a host echoes is hidden wherever it is told",
    "x09": "passwords are not tried without end",
    "x10": "a forged form, Host or Origin is refused",
    "x11": "too large, too deep, too many: refused at once",
    "x14": "a token that is no good lets nobody in",
    "x15": "a dataset's file is never shown as a page",
    "p1": "a version is complete and verified, or invisible",
    "p2": "a published version never changes",
    "p3": "what is stored is what the source held",
    "p4": "nothing outside the store changes",
    "p8": "a dead worker's record goes on",
    "p9": "every due fire starts once, or is recorded as missed",
    "p10": "Redis is disposable",
    "p12": "a workspace sees and touches nothing of another",
    "p13": "no address is dialled that the policy does not allow",
}


def ids_of(name: str) -> set[str]:
    """`test_n01_n03_words` carries n01 and n03."""
    found = re.match(r"test_((?:[a-z]\d{1,2}_)+)", name)
    return set(found[1].strip("_").split("_")) if found else set()


def test_every_case_has_a_test_that_carries_its_id() -> None:
    carried: set[str] = set()
    for module in TESTS.rglob("test_*.py"):
        for node in ast.walk(ast.parse(module.read_text())):
            if isinstance(node, ast.FunctionDef):
                carried |= ids_of(node.name)
    assert set(CASES) - carried == set()


@pytest.mark.parametrize(
    ("name", "ids"),
    [
        ("test_n01_n03_words", {"n01", "n03"}),
        ("test_p4_x", {"p4"}),
        ("test_words_n01_x", set()),
        ("test_a1b_x", set()),
    ],
)
def test_ids_stand_at_the_front_of_a_name(name: str, ids: set[str]) -> None:
    assert ids_of(name) == ids
