"""The page of a held record is a decision: what would go, what each way does, and how to come back."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.utils.safestring import SafeString

from console.charts import draw_columns, draw_shares
from console.words import group_digits, path_words
from search.core.wishes import IndexWish
from syncjobs.core.plans import REMOVED_COUNT_MAX, REMOVED_SHARE_MAX
from syncjobs.models import ItemAction, PlannedFile, SyncRecord
from syncjobs.queries.held_plans import (
    RecordRemovals,
    count_matching,
    count_planned,
    find_common_folder,
    find_newer_decision,
    list_planned,
    list_planned_folders,
    list_removals,
)
from syncjobs.records.asking import digest_of_hold

TYPED_ABOVE = 100  # removals: the person types the number
TERM_MAX = 200
_TITLES: Mapping[str, str] = {
    ItemAction.REMOVED: "Go",
    ItemAction.CHANGED: "Change",
    ItemAction.ADDED: "Join",
}
_HEADS: Mapping[str, str] = {
    ItemAction.REMOVED: "What would go",
    ItemAction.CHANGED: "What would change",
    ItemAction.ADDED: "What would join",
}


@dataclass(frozen=True, slots=True)
class HeldDecision:
    """The sentence, its reason, and the counts of files that it is about."""

    sentence: str
    reason: str
    stay: int
    change: int
    join: int
    go: int
    version: int | None
    digest: str

    @property
    def typed(self) -> str:
        """What a person types before so much goes; empty: nothing."""
        return str(self.go) if self.go > TYPED_ABOVE else ""


def describe_held_page(record: SyncRecord, given: Mapping[str, str]) -> dict[str, Any]:
    """`given` is the address's query: which files of the plan are listed."""
    decision = decide_what_to_say(record)
    context: dict[str, Any] = {
        "decision": decision,
        "newer": find_newer_decision(record),
        "removals": _draw_removals(list_removals(record), decision, record),
        "has_plan": False,
    }
    if "plan" not in (record.hold or {}):
        return context
    planned = describe_planned(record, given)
    folders, folder_count = list_planned_folders(record.pk, planned["action"])
    shares = [
        ("kept", decision.stay),
        ("changed", decision.change),
        ("added", decision.join),
        ("removed", decision.go),
    ]
    words = (
        f"{_files(decision.stay)} stay, {group_digits(decision.change)} change,"
        f" {group_digits(decision.join)} join, {group_digits(decision.go)} go"
    )
    return context | {
        "has_plan": True,
        "shares": draw_shares(shares, words),
        "folders": folders,
        "folders_more": folder_count - len(folders),
        "unsearched": record.job.index == IndexWish.OFF,
        **planned,
    }


def describe_planned(record: SyncRecord, given: Mapping[str, str]) -> dict[str, Any]:
    """One page of what goes, changes or joins, as the address says."""
    counts = count_planned(record.pk)
    actions = [action for action in _TITLES if counts.get(action)]
    action = given.get("action", "")
    if action not in actions:
        action = actions[0] if actions else ItemAction.REMOVED
    term = given.get("q", "")[:TERM_MAX].strip()
    folder = given.get("folder")
    files, following = list_planned(
        record.pk, action, term=term, folder=folder, after=given.get("after", "")
    )
    total = counts.get(action, 0)
    return {
        "action": action,
        "pills": [(each, _TITLES[each], counts[each]) for each in actions],
        "head": _HEADS[action],
        "planned": files,
        "total": total,
        "matching": count_matching(record.pk, action, term) if term else total,
        "following": following,
        "q": term,
        "folder": folder,
        "paged": bool(given.get("after")),
    }


def decide_what_to_say(record: SyncRecord) -> HeldDecision:
    hold: dict[str, Any] = record.hold or {}
    plan: dict[str, Any] = hold.get("plan") or {}
    held, go = plan.get("held", 0), hold.get("files", 0)
    if hold.get("rule") == "mass_replacement":
        go = 0
    change = plan.get("changed", 0)
    return HeldDecision(
        sentence=_sentence(record, held, go),
        reason=_tell_place(record, go) if plan else "",
        stay=max(0, held - go - change),
        change=change,
        join=plan.get("added", 0),
        go=go,
        version=plan.get("version"),
        digest=digest_of_hold(record.hold),
    )


def _sentence(record: SyncRecord, held: int, go: int) -> str:
    rule = (record.hold or {}).get("rule")
    if rule == "mass_removal" and held:
        share = f"{100 * go / held:.1f} %"
        limit = (
            f"the guard stops above {group_digits(REMOVED_COUNT_MAX)} files"
            if go > REMOVED_COUNT_MAX
            else f"the guard stops at {REMOVED_SHARE_MAX:.0%}".replace("%", " %")
        )
        return f"{group_digits(go)} of {_files(held)} would be removed: {share}, and {limit}"
    if rule == "empty_listing" and held:
        return f"The source lists no files: all {group_digits(held)} would be removed"
    reason = record.error or "A guard stopped this sync"
    if (record.hold or {}).get("tables"):
        return reason  # it begins with the name of a table
    return reason[0].upper() + reason[1:]


def _tell_place(record: SyncRecord, go: int) -> str:
    action = ItemAction.REMOVED if go else ItemAction.CHANGED
    folder = find_common_folder(record.pk, action)
    where = f"All of them lie in {path_words(folder)}/. " if folder else ""
    return f"{where}Nothing has been changed yet."


def _files(count: int) -> str:
    return f"{group_digits(count)} file{'' if count == 1 else 's'}"


def _draw_removals(
    removals: Sequence[RecordRemovals], decision: HeldDecision, record: SyncRecord
) -> SafeString | None:
    """None where the hold is about something else than what goes."""
    if not removals[-1].count:
        return None
    rows = bool((record.hold or {}).get("tables"))
    noun = "rows" if rows else "files"
    values = [
        (f"{each.record.queued_at:%d %b %H:%M}", each.count, f"{group_digits(each.count)} {noun}")
        for each in removals
    ]
    held = decision.stay + decision.change + decision.go
    limit = None if rows or not held else min(REMOVED_COUNT_MAX, int(held * REMOVED_SHARE_MAX))
    earlier = [each.count for each in removals[:-1]]
    usual = (
        f"{group_digits(min(earlier))} to {group_digits(max(earlier))} in {len(earlier)} records"
        if earlier
        else "no record before"
    )
    line = "" if limit is None else f"; the guard stops above {group_digits(limit)}"
    name = f"{noun.capitalize()} removed: {usual}, {group_digits(removals[-1].count)} now{line}"
    return draw_columns(values, name, limit=limit, css="sp-c-warn")


# The whole plan as CSV

_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute what begins so


class _Echo:
    def write(self, text: str) -> str:
        return text


def write_plan(files: Iterator[PlannedFile]) -> Iterator[str]:
    """Lines of CSV. A path that a spreadsheet would take for a formula gets an apostrophe before it."""
    writer = csv.writer(_Echo())
    yield writer.writerow(["what", "path", "size_bytes", "modified"])
    for file in files:
        path = path_words(file.path)
        guarded = f"'{path}" if path.startswith(_FORMULA) else path
        yield writer.writerow(
            [_TITLES[file.action].lower(), guarded, file.size_bytes, _tell_time(file.modified_ns)]
        )


def _tell_time(modified_ns: int | None) -> str:
    if modified_ns is None:
        return ""
    try:
        return datetime.fromtimestamp(modified_ns / 1e9, UTC).isoformat(timespec="seconds")
    except (OverflowError, ValueError, OSError):
        return ""
