"""A kind of far end and a kind of work that are the tests' own: the product knows neither.

The far end is a folder whose file `word` says what the work is to do: `wait`, `finish`, or `fail` once and then finish.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from database.sessions import open_session
from datasets.fencing import check_fence
from datasets.models import DatasetKind
from farends.contract import Context
from farends.errors import ConnectionLost
from farends.reaching import Reach, ReachSecret
from farends.spec import Spec, Target, option
from syncjobs.core.states import Event
from syncjobs.works.contract import Assignment, Ending, end

KIND = FAR_END = "practice"
LOOKS_EVERY_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Options(Reach):
    root: str = option("Folder", "Where the word lies.")


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Secret(ReachSecret):
    """Nobody has to log in."""


def _open(target: Target, context: Context) -> NoReturn:
    raise NotImplementedError("there are no files")


SPEC = Spec(KIND, "Practice", 1, Options, Secret, _open, far_end=FAR_END)


class Practice:
    dataset_kind = DatasetKind.TABLE

    def run(self, assignment: Assignment) -> Ending:
        lease, claim = assignment.lease, assignment.claim
        folder = Path(assignment.record.get_connector().options["root"])
        pause = threading.Event()
        while (word := (folder / "word").read_text()) == "wait":
            lease.check()
            lease.progress.received(1)
            pause.wait(LOOKS_EVERY_S)
        if word == "fail":
            (folder / "word").write_text("finish")
            raise ConnectionLost("the word was to fail")
        with open_session(statement_timeout_s=5, name=claim.session_name) as session:
            with session.transaction(), session.cursor() as cursor:
                check_fence(cursor, {"dataset": claim.dataset_id, "token": claim.token})
            with (folder / "done").open("a") as done:
                done.write(f"{claim.token}\n")
        return end(Event.SUCCEEDED, "the word was to finish", verdict="ok", files_added=7)
