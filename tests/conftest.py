"""No check is skipped in silence: a skip that `tests/skips.txt` does not state is a failure, and so is
one for a missing program, unless `make test` has said that it could not install it."""

from __future__ import annotations

import re
import signal
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.contrib import admin
from django.db import connections
from django.test import TransactionTestCase
from whitenoise.base import WhiteNoise  # type: ignore[import-untyped]  # it has no types

from search.querying.lexemes_of_query import lexeme_counts
from tests import emptying
from tests.hosts.sshd import Sshd, running_sshd

SKIPS = Path(__file__).with_name("skips.txt")
MISSING = Path(__file__).parents[1] / ".venv" / ".missing-tools"
_NOT_INSTALLED = re.compile(r"\b([a-z-]+) is not installed")


def stated_skips() -> dict[str, str]:
    """Why a test may be skipped, by its module and name."""
    lines = (line.partition("#")[0].strip() for line in SKIPS.read_text().splitlines())
    return {name: reason for name, _, reason in (line.partition("  ") for line in lines if line)}


def missing_tools() -> set[str]:
    """What `deploy/install-test-tools` could not bring here."""
    return set(MISSING.read_text().split()) if MISSING.exists() else set()


def unstated(nodeid: str, report: pytest.TestReport | pytest.CollectReport) -> str | None:
    """What is wrong with a skip, None where it is stated, reason and all."""
    if not report.skipped or hasattr(report, "wasxfail"):
        return None
    told = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    program = _NOT_INSTALLED.search(told)
    if program is not None and program[1] in missing_tools():
        return None
    reason = stated_skips().get(nodeid.removeprefix("tests/"))
    if reason is not None and reason.strip() in told:
        return None
    return f"{told}\n(tests/skips.txt does not state it; --may-skip lets it pass)"


@pytest.fixture(autouse=True, scope="session")
def _all_pages() -> None:
    """As in a web process, whichever test comes first."""
    admin.autodiscover()


@pytest.fixture(autouse=True, scope="session")
def _quickly_emptied() -> Generator[None, None, None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TransactionTestCase, "_fixture_teardown", emptying.empty)
        yield


@pytest.fixture(scope="session")
def django_db_modify_db_settings(django_db_modify_db_settings_parallel_suffix: None) -> None:
    """Most tests are one transaction, and a busy machine takes long between two of its statements. The product's processes
    keep their own limit."""
    options = connections.settings["default"]["OPTIONS"]
    options["options"] += " -c idle_in_transaction_session_timeout=600s"  # the last one counts


@pytest.fixture(autouse=True, scope="session")
def _static_root() -> None:
    """Whitenoise warns where the folder is missing."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True, scope="session")
def _static_files_found_once() -> Iterator[None]:
    """Each client makes the middleware anew, which looks at each static file: a sixth of what a test of pages does."""
    find = WhiteNoise.update_files_dictionary
    found: dict[tuple[str, str, int], dict[str, Any]] = {}

    def remember(middleware: WhiteNoise, root: str, prefix: str) -> None:
        place = (root, prefix, Path(root).stat().st_mtime_ns)
        if place not in found:
            find(middleware, root, prefix)
            found[place] = dict(middleware.files)
        middleware.files.update(found[place])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(WhiteNoise, "update_files_dictionary", remember)
        yield


@pytest.fixture(autouse=True)
def _patient_search(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine leaves no list out of an answer: tests ask what is found, not how soon."""
    monkeypatch.setattr("search.querying.search.WITHIN_S", 60.0)


@pytest.fixture(autouse=True)
def _fresh_counts() -> Iterator[None]:
    """How many chunks hold a word is remembered for a while, and each test has texts of its own."""
    lexeme_counts.forget()
    yield
    lexeme_counts.forget()


@pytest.fixture(scope="session")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A far end that nobody hurts or changes."""
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The folder that the far end serves."""
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


def pytest_configure() -> None:
    # A shell's background jobs ignore it, and so would every program that a test starts and interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    help_text = "let tests skip that tests/skips.txt does not state, such as for a missing server"
    parser.addoption("--may-skip", action="store_true", help=help_text)
    parser.addoption("--kills", type=int, default=60, help="how often tests/kills kills a worker")
    parser.addoption(
        "--thorough",
        action="store_true",
        help="all phases of tests/api/test_schema.py, all names of tests/fuzz",
    )
    parser.addoption("--seed", type=int, default=1, help="of the points at which it does")


# What takes minutes comes first, so that several processes end together.
LONG = (
    "tests/faults/test_runs", "tests/conformance/test_transports", "tests/kills/", "tests/processes/",
    "tests/e2e/", "tests/conformance/", "tests/scale/", "tests/fuzz/", "tests/lifecycle/", "tests/embedded/",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def rank(item: pytest.Item) -> int:
        return next((n for n, part in enumerate(LONG) if item.nodeid.startswith(part)), len(LONG))

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    wrong = None if item.config.getoption("--may-skip") else unstated(item.nodeid, report)
    if wrong is not None:
        report.outcome, report.longrepr = "failed", wrong
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    wrong = None if collector.config.getoption("--may-skip") else unstated(collector.nodeid, report)
    if wrong is not None:
        report.outcome, report.longrepr = "failed", wrong
    return report
