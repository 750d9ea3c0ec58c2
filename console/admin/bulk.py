"""What is done to many rows of a list at once: to those that are ticked, or to all that its filters take.

All that match are shown before anything is done, at most `BULK_MAX` of them, and the button acts on exactly these: what
comes to match meanwhile is left alone. The answer says how many were done, and which were not and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.contrib import messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from console import tenancy
from console.words import show_unprintable
from workspaces.models import Role

BULK_MAX = 500
NAMED = 5  # rows that the answer names for each reason
SHOWN = 10  # rows that the question names
ACROSS = "select_across"


class NotDone(Exception):
    """Why nothing was done to a row, in words for the person who asked."""


@dataclass(frozen=True, slots=True)
class BulkAct:
    """`question` says what will happen to each row; `done` follows the number of rows in the answer."""

    question: str
    done: str
    needs: Role = Role.OPERATOR
    tone: str = "main"


@dataclass(slots=True)
class BulkOutcome:
    done: int = 0
    left: dict[str, list[str]] = field(default_factory=dict)  # names by the reason

    @property
    def left_count(self) -> int:
        return sum(len(names) for names in self.left.values())

    def leave(self, name: str, reason: str) -> None:
        self.left.setdefault(reason.rstrip("."), []).append(name)


def work_through(
    request: HttpRequest,
    rows: Iterable[Any],
    act: BulkAct,
    do: Callable[[Any], object],
    *,
    workspace_of: Callable[[Any], Any] = lambda row: row.workspace_id,
) -> BulkOutcome:
    """Does it to each of the rows where the person's role allows it, and tells them what came of it. `do` raises NotDone."""
    outcome = BulkOutcome()
    for row in rows:
        if not tenancy.may(request, act.needs, workspace_of(row)):
            outcome.leave(str(row), f"your role there is below {act.needs}")
            continue
        try:
            do(row)
        except NotDone as exc:
            outcome.leave(str(row), str(exc))
        else:
            outcome.done += 1
    _tell(request, outcome, act)
    return outcome


def _tell(request: HttpRequest, outcome: BulkOutcome, act: BulkAct) -> None:
    all_of = outcome.done + outcome.left_count
    level = messages.SUCCESS if outcome.done or not all_of else messages.WARNING
    messages.add_message(request, level, f"{outcome.done} of {all_of} {act.done}.")
    if outcome.left:
        told = "; ".join(_name(names, why) for why, names in outcome.left.items())
        messages.warning(request, f"Not done: {told}.")


def _name(names: Sequence[str], why: str) -> str:
    more = len(names) - NAMED
    named = ", ".join(show_unprintable(name) for name in names[:NAMED])
    return f"{named}{f' and {more} more' if more > 0 else ''}: {why}"


def asks_for_all(request: HttpRequest) -> bool:
    return request.POST.get(ACROSS) == "1"


def ask_first(
    page: Any, request: HttpRequest, rows: QuerySet[Any], title: str, act: BulkAct
) -> HttpResponse:
    """The page that asks: it holds the rows that the filters take now, and its button acts on these."""
    found = list(rows[: BULK_MAX + 1])
    chosen = found[:BULK_MAX]
    context = {
        **page.admin_site.each_context(request),
        "title": f"{title}: all that match",
        "subtitle": None,
        "opts": page.opts,
        "action": request.POST.get("action", ""),
        "button": title,
        "act": act,
        "checkbox": ACTION_CHECKBOX_NAME,
        "chosen": chosen,
        "shown": [str(row) for row in chosen[:SHOWN]],
        "others": max(0, len(chosen) - SHOWN),
        "most": BULK_MAX if len(found) > BULK_MAX else None,
        "back": request.get_full_path(),
    }
    return TemplateResponse(request, "console/bulk.html", context)
