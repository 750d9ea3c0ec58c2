"""`python -m tests.lifecycle.tree_kills SEED KILLS`: kills who brings a current tree, at random moments.

It runs inside the test's own database: the test gives it `DATABASE_URL`. A child that is forked for it brings the tree
and is killed; the next one is let go, and then the folder must be one version. Prints one JSON object.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "syncproject.settings")
    django.setup()
    seed, kills, job_id = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    chance = random.Random(seed)  # noqa: S311 — it hides nothing
    sys.stdout.write(json.dumps(kill_often(chance, kills, job_id)) + "\n")


def kill_often(chance: random.Random, kills: int, job_id: str) -> dict[str, Any]:
    """Between two looks at the whole folder it kills up to three times, each time on the way to another version."""
    from django.conf import settings
    from django.db import connection

    from syncjobs.models import SyncJob
    from syncjobs.upkeep.rollback import roll_back

    job = SyncJob.objects.get(pk=job_id)
    assert settings.TREE_ROOT is not None
    tree = settings.TREE_ROOT / job.current_tree
    shown = 3
    hit = looks = torn = 0
    took_s = 0.2
    while hit < kills:
        for _ in range(chance.randint(1, 3)):
            shown = chance.choice([number for number in (1, 2, 3) if number != shown])
            roll_back(job.dataset_id, shown, by="kills")
            connection.close()
            child = os.fork()
            if child == 0:
                bring(job_id)
                os._exit(0)
            time.sleep(chance.uniform(0, took_s))
            os.kill(child, signal.SIGKILL)
            hit += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        began = time.monotonic()
        bring(job_id)
        took_s = max(0.05, time.monotonic() - began)
        looks += 1
        torn += held_now(job) != lies_there(tree)
    return {"kills": hit, "looks": looks, "torn": torn}


def bring(job_id: str) -> None:
    from database.sessions import open_session
    from datasets.store import open_store
    from syncjobs.models import SyncJob
    from syncjobs.works.files.trees import follow

    job = SyncJob.objects.get(pk=job_id)
    with closing(open_session(statement_timeout_s=300, name="kills")) as session:
        follow(session, job, open_store(job.workspace_id))


def held_now(job: Any) -> dict[str, str]:
    from datasets.models import Entry

    rows = Entry.objects.filter(dataset=job.dataset_id, until=None)
    return {row.path: bytes(row.sha256).hex() for row in rows}


def lies_there(tree: Path) -> dict[str, str]:
    return {
        str(path.relative_to(tree)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tree.rglob("*")
        if not path.is_dir()
    }


if __name__ == "__main__":
    main()
