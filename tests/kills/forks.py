"""Processes that do one piece of the product's work and may be killed at it, several a second.

`python -m tests.kills.forks` has everything imported and nothing open; for each line that it reads, it forks
a child, waits for its end and answers with a line.
"""

from __future__ import annotations

import json
import os
import traceback
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.answering import Ask, answering, serve

COMMIT_FILES = 4  # so that an attempt at a small tree keeps what arrived several times
PACK_COUNT = 4  # and a compaction of few contents writes several packs


@dataclass(frozen=True, slots=True)
class Ended:
    killed: bool
    passed: Counter[str]  # what a child that was not killed came by


class Forks:
    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def run(
        self, work: str, argument: str = "", *, kill_at: str | None = None, nth: int = 0
    ) -> Ended:
        """`work` is `execute` with a record's id, `sweep` with an age in seconds, `compact` with a workspace's id,
        `index` with a dataset's, or `alerts`."""
        order = {"work": work, "argument": argument, "kill_at": kill_at, "nth": nth}
        told = self._ask(order)
        return Ended(told["killed"], Counter(told["passed"]))


@contextmanager
def forking(database_url: str, log: Path) -> Iterator[Forks]:
    # Nothing here is TLS, and reading the system's authorities takes longer than a whole record.
    environment = {
        "DATABASE_URL": database_url,
        "SSL_CERT_FILE": os.devnull,
        "ALLOWED_NETWORKS": "127.0.0.0/8",
    }
    with answering("tests.kills.forks", log, **environment) as ask:
        yield Forks(ask)


def import_everything() -> None:
    """Once, for all children."""
    import django

    os.environ["DJANGO_SETTINGS_MODULE"] = "syncproject.settings"
    django.setup()
    from farends.registry import get_spec
    from tests.kills import failpoints  # noqa: F401

    get_spec("http")


def answer(order: dict[str, Any]) -> dict[str, Any]:
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        status = 1
        try:
            passed = work(order)
            os.write(writing, json.dumps(passed).encode())
            status = 0
        except BaseException:  # noqa: BLE001 — the child ends here, whatever it was
            traceback.print_exc()
        finally:
            os._exit(status)  # threads and sessions end as they stand
    os.close(writing)
    with os.fdopen(reading) as told:
        passed_there = told.read()
    _, how = os.waitpid(child, 0)
    killed = os.WIFSIGNALED(how)
    if not killed and os.waitstatus_to_exitcode(how) != 0:
        raise RuntimeError(f"the work failed: {order}")
    return {"killed": killed, "passed": json.loads(passed_there or "{}")}


def work(order: dict[str, Any]) -> Counter[str]:
    from alerts.sending.courier import Courier
    from alerts.sending.office import PostOffice
    from datasets.places import Places
    from datasets.store import open_store
    from search.indexing.catching_up import catch_up
    from store import repacking
    from syncjobs.attempt.execution import execute
    from syncjobs.engine import arriving
    from syncjobs.leases.heart import Heart
    from syncjobs.upkeep.sweeping import sweep
    from tests.kills.failpoints import lay

    arriving.COMMIT_FILES = COMMIT_FILES
    repacking.PACK_COUNT = PACK_COUNT
    passed: Counter[str] = Counter()
    lay(passed, order["kill_at"], order["nth"])
    if order["work"] == "execute":
        execute(uuid.UUID(order["argument"]), Heart(f"fork {os.getpid()}"))
    elif order["work"] == "compact":
        workspace_id = uuid.UUID(order["argument"])
        store, index = open_store(workspace_id), Places(workspace_id)
        sparse = repacking.find_sparse(store, index, lost_percent=1)
        repacking.compact(store, index, sparse)
    elif order["work"] == "alerts":
        PostOffice(Courier()).send_due()
    elif order["work"] == "index":
        catch_up(uuid.UUID(order["argument"]), owner=f"fork {os.getpid()}", check=lambda: None)
    else:
        age_s = float(order["argument"])
        sweep(kept_s=age_s, grace_s=age_s)
    return passed


if __name__ == "__main__":
    import_everything()
    serve(answer)
