"""Versions of all datasets, newest first; a version's page is its dataset's, at that number."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from console.admin.buttons import Button, ButtonsAdmin
from console.admin.scoped import KeysetAdmin
from console.labels import changes, find_page_url, label, link, moment
from console.words import size_words
from datasets.models import Version
from datasets.tables.columns import TableGone
from datasets.tables.going_back import CannotGoBack
from syncjobs.upkeep.rollback import DatasetBusy, NothingToRollBack, VersionMissing, roll_back
from syncjobs.upkeep.rollback_elsewhere import AFTERWARDS, DestinationAway
from workspaces.models import Role


def _is_older(version: Version) -> bool:
    return not version.is_current


@admin.register(Version)
class VersionAdmin(KeysetAdmin, ButtonsAdmin):
    workspace_path = "dataset__workspace"
    list_display = ["named", "show_dataset", "current", "held", "size", "changed", "created"]
    ordering = ["-pk"]
    list_filter = ["is_current"]
    buttons = (
        Button(
            "rollback",
            "Roll back to this",
            "back",
            needs=Role.ADMIN,
            tone="risk",
            confirm="Publish what this version holds as the next one? The next sync brings what the source has"
            " by then: to stay at this state, switch the job off first.",
            shown=_is_older,
        ),
    )

    def workspace_of(self, obj: Version) -> UUID:
        return obj.dataset.workspace_id

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related("dataset")

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        version = self.get_object(request, object_id)
        if version is None:
            return self.answer_missing(request, object_id)
        return HttpResponseRedirect(f"{find_page_url(version.dataset)}?version={version.number}")

    def press_rollback(self, request: HttpRequest, version: Version) -> HttpResponse:
        try:
            published = roll_back(version.dataset_id, version.number, by=str(request.user))
        except (
            CannotGoBack,
            DatasetBusy,
            NothingToRollBack,
            TableGone,
            VersionMissing,
        ) as exc:
            messages.error(request, f"Nothing was changed: {exc}.")
        except DestinationAway as exc:
            messages.error(request, f"{exc}. {AFTERWARDS}.")
        else:
            messages.success(
                request, f"v{published.number} holds what v{version.number} does, and is current."
            )
        return HttpResponseRedirect(find_page_url(version.dataset))

    @admin.display(description="version")
    def named(self, version: Version) -> str:
        return f"v{version.number}"

    @admin.display(description="dataset")
    def show_dataset(self, version: Version) -> str:
        return link(version.dataset, version.dataset.name)

    @admin.display(description="")
    def current(self, version: Version) -> str:
        return label("current", tone="ok") if version.is_current else ""

    @admin.display
    def size(self, version: Version) -> str:
        return size_words(version.size_bytes)

    @admin.display(description="holds")
    def held(self, version: Version) -> str:
        return f"{version.file_count} files" if version.rows is None else f"{version.rows} rows"

    @admin.display(description="changes")
    def changed(self, version: Version) -> str:
        return changes(version)

    @admin.display(description="published")
    def created(self, version: Version) -> str:
        return moment(version.created_at)
