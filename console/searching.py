"""The page that searches: a box, what was found with its marks, and what it can be narrowed down by."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

from console import tenancy
from console.things import find_things
from console.words import code_words, path_words
from datasets.models import Dataset, DatasetKind
from search.core.asking import CHARACTERS_MAX
from search.models import DatasetIndex
from search.querying.question import (
    LIMIT_DEFAULT,
    Facet,
    Hit,
    InvalidQuestion,
    NoSuchDataset,
    Question,
    SearchAnswer,
    StateOfIndex,
)
from search.querying.search import find_datasets, search
from search.querying.states import read_state
from workspaces.lookup import find_workspace
from workspaces.models import Workspace

DAY_S = 86_400
AGES = {"day": DAY_S, "week": 7 * DAY_S, "month": 30 * DAY_S, "year": 365 * DAY_S}
_WORDS = ("q", "dataset", "type", "age", "cursor", "workspace")
_BY = {"words": "words", "meaning": "meaning", "both": "words and meaning"}
_TROUBLES = {
    "embed_unreachable": "The embedding service cannot be reached",
    "embed_timeout": "The embedding service does not answer in time",
    "embed_limited": "The embedding service takes no more requests for now",
    "embed_refused_key": "The embedding service refuses its key",
    "embed_protocol": "The embedding service answers what is no answer",
    "embed_dimension": "The embedding service answers vectors of another size",
    "no_vectors": "No text here has a vector yet",
    "off": "Meaning is switched off",
    "late": "It took too long",
}


@dataclass(frozen=True, slots=True)
class ShownHit:
    """`url` leads to the file's folder, with the file in sight; `download` to the file, where its entry is known."""

    hit: Hit
    path: str
    snippet: SafeString
    by: str
    url: str
    where: str
    record_url: str


@dataclass(frozen=True, slots=True)
class ShownFacet:
    """One value of a facet; `url` chooses it, or takes the choice back."""

    title: str
    count: int | None
    url: str
    is_chosen: bool


def search_view(request: HttpRequest) -> HttpResponse:
    asked = {name: _without_nul(request.GET.get(name, "")) for name in _WORDS}
    mine = list(tenancy.scope(request, Workspace.objects.order_by("name"), path="pk"))
    tenancy.note_workspace_count(request, len(mine))
    workspace = _choose_workspace(request, mine, asked["workspace"])
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Search",
        "subtitle": None,
        "asked": asked,
        "kept": [(name, asked[name]) for name in ("dataset", "type", "age") if asked[name]],
        "characters_max": CHARACTERS_MAX,
        "workspaces": mine if len(mine) > 1 else [],
        "workspace": workspace,
    }
    if workspace is not None:
        context |= _show(workspace, asked)
        context["things"] = find_things(workspace, asked["q"]) if not asked["cursor"] else []
    return TemplateResponse(request, "console/search.html", context)


def describe_index(dataset: Dataset) -> StateOfIndex | None:
    """How the index of one dataset stands; None where it has none."""
    if dataset.kind != DatasetKind.FILES:
        return None
    return read_state(dataset.workspace_id, [dataset.pk])


def _show(workspace: Workspace, asked: Mapping[str, str]) -> dict[str, Any]:
    """What the template needs of the answer."""
    has_datasets = Dataset.objects.filter(workspace=workspace).exists()
    if not asked["q"].strip() or not (has_datasets or asked["dataset"]):
        return {"has_datasets": has_datasets}
    try:
        datasets = find_datasets(workspace, [asked["dataset"]] if asked["dataset"] else [])
        answer = search(workspace, _make_question(asked, [dataset.pk for dataset in datasets]))
    except NoSuchDataset:
        return {"trouble": "There is no such dataset in this workspace."}
    except InvalidQuestion as exc:
        return {"trouble": str(exc)}
    return {
        "answer": answer,
        "hits": [_show_hit(hit) for hit in answer.items],
        "facets": [
            ("Dataset", _show_facets("dataset", answer, asked)),
            ("Kind", _show_facets("type", answer, asked)),
            ("Fetched", _show_facets("age", answer, asked)),
        ],
        "next_url": _write_url({**asked, "cursor": answer.next}) if answer.next else "",
        "troubles": [
            (
                code_words(each.list),
                _TROUBLES.get(str(each.code), str(each.code)),
                _sentence(each.detail),
            )
            for each in answer.degraded
        ],
    }


def _sentence(detail: str) -> str:
    return f"{detail[:1].upper()}{detail[1:]}".rstrip(".") + "." if detail else ""


def _make_question(asked: Mapping[str, str], dataset_ids: Sequence[uuid.UUID]) -> Question:
    return Question(
        asked["q"],
        dataset_ids=tuple(dataset_ids),
        types=(asked["type"],) if asked["type"] else (),
        newer_than_s=AGES.get(asked["age"]),
        limit=LIMIT_DEFAULT,
        cursor=asked["cursor"] or None,
        with_facets=True,
    )


def _choose_workspace(
    request: HttpRequest, mine: Sequence[Workspace], called: str
) -> Workspace | None:
    """The one in the address, else the one that the person works in, else the first of theirs that holds text."""
    chosen = tenancy.find_current_workspace(request)
    if called:
        rows = tenancy.scope(request, Workspace.objects.all(), path="pk")
        return find_workspace(called, rows)
    if chosen is None and len(mine) > 1:
        filled = DatasetIndex.objects.filter(workspace__in=mine, chunk_count__gt=0)
        known = set(filled.values_list("workspace_id", flat=True).distinct())
        chosen = next((each.pk for each in mine if each.pk in known), None)
    return next((each for each in mine if each.pk == chosen), next(iter(mine), None))


def _show_hit(hit: Hit) -> ShownHit:
    folder = hit.path.rpartition("/")[0]
    page = reverse("admin:datasets_dataset_change", args=[hit.dataset_id])
    query = urlencode({"version": hit.version, "folder": folder, "from": hit.path})
    line = f"line {hit.line}" if hit.line is not None else hit.place
    return ShownHit(
        hit=hit,
        path=path_words(hit.path),
        snippet=mark_snippet(hit.snippet, hit.highlights),
        by=_BY[hit.matched.value],
        url=f"{page}?{query}",
        where=", ".join(part for part in (line, hit.heading) if part),
        record_url=reverse("admin:syncjobs_syncrecord_change", args=[hit.record_id])
        if hit.record_id
        else "",
    )


def mark_snippet(snippet: str, highlights: Sequence[tuple[int, int]]) -> SafeString:
    """Escapes each part by itself: nothing that stands in a file can pass for a mark of ours."""
    return mark_safe("".join(_iter_marked(snippet, highlights)))  # noqa: S308 - each part is escaped


def _iter_marked(snippet: str, highlights: Sequence[tuple[int, int]]) -> Iterator[str]:
    at = 0
    for start, end in highlights:
        yield conditional_escape(snippet[at:start])
        yield f"<mark>{conditional_escape(snippet[start:end])}</mark>"
        at = end
    yield conditional_escape(snippet[at:])


def _show_facets(name: str, answer: SearchAnswer, asked: Mapping[str, str]) -> list[ShownFacet]:
    """What is chosen stays to be seen, also where nothing has it."""
    found: list[Facet | None] = list(answer.facets.get(name, ()))
    chosen = asked[name]
    if chosen and all(each is None or each.value != chosen for each in found):
        found.insert(0, None)
    return [
        ShownFacet(
            title=_title(name, each.value if each else chosen),
            count=each.count if each else None,
            url=_write_url(
                {
                    **asked,
                    "cursor": "",
                    name: "" if each is None or each.value == chosen else each.value,
                }
            ),
            is_chosen=each is None or each.value == chosen,
        )
        for each in found
    ]


def _title(name: str, value: str) -> str:
    return f"in the last {value}" if name == "age" else value


def _write_url(asked: Mapping[str, str | None]) -> str:
    return "?" + urlencode({name: value for name, value in asked.items() if value})


def _without_nul(text: str) -> str:
    return text.replace("\0", "")
