"""The tab "Keeping" of a dataset: which versions stay, what the next pass removes, the rule, and the way to delete it all."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from console.words import size_words
from datasets.models import Dataset
from syncjobs.configuration.dataset_deletion import (
    DatasetInUse,
    delete_dataset,
    find_use,
    measure_deletion,
)
from syncjobs.configuration.jobs import save_job
from syncjobs.core.keeping import KeepRule
from syncjobs.models import SyncJob
from syncjobs.order.shared import DAYS_MAX, VERSIONS_MAX
from syncjobs.upkeep.retention import plan_retention, read_keep_rule
from workspaces.models import Workspace

AS_WORKSPACE, EVERY, OWN = "workspace", "every", "own"
_UNITS = [("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)]
_BYTES_MAX = 9_223_372_036_854_775_807


class KeepingForm(forms.Form):
    """The rule in people's units."""

    choice = forms.ChoiceField(
        label="Which versions",
        widget=forms.RadioSelect,
        choices=[(AS_WORKSPACE, ""), (EVERY, ""), (OWN, "")],
    )
    days = forms.IntegerField(label="Days", required=False, min_value=1, max_value=DAYS_MAX)
    versions = forms.IntegerField(
        label="Versions", required=False, min_value=1, max_value=VERSIONS_MAX
    )
    size = forms.DecimalField(
        label="Size", required=False, min_value=0, max_digits=12, decimal_places=3
    )
    unit = forms.ChoiceField(
        label="Unit", required=False, choices=[(name, name) for name, _ in _UNITS]
    )

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or {}
        if given.get("choice") != OWN or self.errors:
            return given
        if not any(given.get(name) for name in ("days", "versions", "size")):
            raise forms.ValidationError(
                "Say at least one of the three, or choose to keep every version."
            )
        if self.size_bytes is not None and self.size_bytes > _BYTES_MAX:
            self.add_error("size", "That is more than anybody has.")
        return given

    @property
    def size_bytes(self) -> int | None:
        size = self.cleaned_data.get("size")
        unit = dict(_UNITS)[self.cleaned_data.get("unit") or _UNITS[0][0]]
        return max(1, int(size * unit)) if size else None

    @property
    def rule(self) -> KeepRule:
        match self.cleaned_data["choice"]:
            case "own":
                days, versions = self.cleaned_data["days"], self.cleaned_data["versions"]
                return KeepRule(versions, days, self.size_bytes)
            case "every":
                return KeepRule(versions=0)
            case _:
                return KeepRule()


class DeletionForm(forms.Form):
    name = forms.CharField(label="Name", max_length=100)

    def __init__(self, dataset: Dataset, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self._dataset = dataset

    def clean_name(self) -> str:
        name: str = self.cleaned_data["name"]
        if name != self._dataset.name:
            raise forms.ValidationError(f"That is not its name. Type {self._dataset.name}.")
        return name


def describe_keeping(dataset: Dataset, form: KeepingForm | None = None) -> dict[str, Any]:
    """What the tab shows."""
    plan = plan_retention(dataset)
    job = _find_job(dataset)
    going = plan.decision.going
    return {
        "plan": plan,
        "words": tell_keep_rule(plan.rule),
        "going": (going[0], going[-1], len(going)) if going else None,
        "workspace_words": tell_keep_rule(read_keep_rule(dataset.workspace)),
        "form": form or (KeepingForm(initial=_initial(job, dataset.workspace)) if job else None),
    }


def save_keeping(request: HttpRequest, dataset: Dataset) -> HttpResponse | KeepingForm:
    """Where the form has mistakes, it comes back."""
    job = _find_job(dataset)
    if job is None:
        raise Http404
    form = KeepingForm(request.POST)
    if not form.is_valid():
        return form
    rule = form.rule
    job.keep_versions, job.keep_days, job.keep_bytes = rule.versions, rule.days, rule.size_bytes
    save_job(job)
    messages.success(
        request,
        f"Saved. {tell_keep_rule(read_keep_rule(job)) or 'The rule of the workspace holds.'}",
    )
    return HttpResponseRedirect(request.path)


def show_deletion(request: HttpRequest, dataset: Dataset, page: dict[str, Any]) -> HttpResponse:
    """Says what a deletion means; the name is typed. `page` is what each page of the console shows."""
    form = DeletionForm(dataset, request.POST if request.method == "POST" else None)
    if form.is_bound and form.is_valid():
        try:
            delete_dataset(dataset)
        except DatasetInUse as exc:
            form.add_error(None, f"Nothing was deleted: {exc}.")
        else:
            messages.success(request, f"Dataset {dataset.name} was deleted.")
            return HttpResponseRedirect(reverse("admin:datasets_dataset_changelist"))
    context = {
        **page,
        "title": f"Delete {dataset.name}",
        "opts": Dataset._meta,
        "original": dataset,
        "goes": measure_deletion(dataset),
        "use": find_use(dataset),
        "form": form,
    }
    return TemplateResponse(request, "console/dataset_delete.html", context)


def tell_keep_rule(rule: KeepRule) -> str:
    """The rule as a sentence; empty where none is set."""
    if not rule.is_set:
        return ""
    if rule.keeps_all:
        return "Every version is kept."
    parts = []
    if rule.days is not None:
        parts.append(
            f"each for {rule.days} {_plural('day', rule.days)} after a newer one took its place"
        )
    if rule.versions is not None:
        parts.append(f"the newest {rule.versions} {_plural('version', rule.versions)}")
    if rule.size_bytes is not None:
        parts.append(f"those for which older versions need at most {size_words(rule.size_bytes)}")
    return f"Kept are {', and '.join(parts)}."


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _find_job(dataset: Dataset) -> SyncJob | None:
    rows = SyncJob.objects.select_related("connector", "source_dataset", "dataset", "workspace")
    return rows.filter(dataset=dataset).first()


def _initial(job: SyncJob, workspace: Workspace) -> dict[str, Any]:
    own = read_keep_rule(job)
    choice = EVERY if own.versions == 0 else OWN if own.is_set else AS_WORKSPACE
    shown = own if choice == OWN else read_keep_rule(workspace)
    size, unit = _split_size(shown.size_bytes)
    return {
        "choice": choice,
        "days": shown.days,
        "versions": shown.versions or None,
        "size": size,
        "unit": unit,
    }


def _split_size(size_bytes: int | None) -> tuple[str | None, str]:
    """In the largest unit that says it exactly enough."""
    if size_bytes is None:
        return None, "GiB"
    for name, unit in reversed(_UNITS):
        if size_bytes >= unit:
            return f"{size_bytes / unit:.3f}".rstrip("0").rstrip("."), name
    return f"{max(size_bytes / _UNITS[0][1], 0.001):.3f}", "MiB"
