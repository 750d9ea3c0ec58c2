"""Shows which files of the real host a selection takes, while a person writes it."""

from __future__ import annotations

from typing import Any

from django.http import QueryDict
from django.template.loader import render_to_string
from django.utils.safestring import SafeString

from connectors.listings import KeptListing, find_kept_listing, list_files
from connectors.models import Connector
from console.admin.option_fields import declare
from farends.registry import SPECS
from farends.spec import FILES as FILE_KINDS
from syncjobs.configuration.matching import build_tree, match_files
from syncjobs.core.patterns import InvalidPattern
from syncjobs.models import SyncJob
from syncjobs.order.files import FILES
from syncjobs.works.files.order import make_selection
from workspaces.places import CALLS_MAX, CALLS_OF_WORKSPACE, NoPlace, calls

SelectionFields = declare([FILES])


def lists_files(connector: Connector | None) -> bool:
    spec = None if connector is None else SPECS.get(connector.kind)
    return spec is not None and spec.far_end == FILE_KINDS


def show_kept(job: SyncJob, url: str) -> SafeString:
    """As the page is opened: by the listing that is kept, if there is one. The host is not asked."""
    connector = job.connector
    kept = (
        find_kept_listing(connector) if connector is not None and lists_files(connector) else None
    )
    context = _describe(kept, job) if kept is not None else {}
    return render_to_string("console/selection.html", {"match_url": url, "job": job} | context)


def show_matches(data: QueryDict, connector: Connector) -> dict[str, Any]:
    """What the form as it stands takes. Asks the host where no fresh listing is kept, or `again` is given."""
    form = SelectionFields(data)
    job = SyncJob(connector=connector, workspace=connector.workspace)
    if not form.is_valid():
        words = "; ".join(str(error) for errors in form.errors.values() for error in errors)
        return {"wrong": words}
    for name, value in form.cleaned_data.items():
        setattr(job, name, value)
    job.move_to = data.get("move_to", "") if data.get("after_publish") == "move" else ""
    try:
        with calls.held(CALLS_MAX, {str(connector.workspace_id): CALLS_OF_WORKSPACE}):
            kept = list_files(connector, again="again" in data)
    except NoPlace:
        return {"wrong": "Other far ends are being called just now. Try again in a moment."}
    shown = _describe(kept, job)
    listing = str(kept.listed_at)
    return shown | {"new_tree": data.get("_listing") != listing}


def _describe(kept: KeptListing, job: SyncJob) -> dict[str, Any]:
    try:
        matched = match_files(kept.files, make_selection(job))
    except InvalidPattern as exc:
        return {"wrong": str(exc)}
    left_out = {pattern.strip() for pattern in job.exclude}
    return {
        "kept": kept,
        "matched": matched,
        "listing": str(kept.listed_at),
        "tree": build_tree(kept.files),
        "left_out": left_out,
    }
