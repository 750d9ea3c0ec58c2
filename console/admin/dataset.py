"""Datasets: what is held, version by version, folder by folder, with each file to download."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from console import browsing
from console.admin.buttons import ButtonsAdmin
from console.admin.filters import WorkspaceFilter
from console.admin.scoped import ReadOnlyAdmin
from console.downloads import download
from console.labels import find_page_url, link, moment
from console.searching import describe_index
from console.table_browsing import show_tables
from console.words import NOTHING, size_words
from datasets.models import Dataset, DatasetKind, Entry, Version
from datasets.reading import NoSuchVersion, get_version
from store.errors import StoreError
from workspaces.places import NoPlace

VERSIONS_SHOWN = 12


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "workspace", "show_job", "version", "held", "size", "changed"]
    list_filter = [WorkspaceFilter]
    list_select_related = ["workspace", "job"]
    search_fields = ["name"]

    def get_urls(self) -> list[URLPattern]:
        fetch = path(
            "<uuid:pk>/entries/<int:entry_id>/",
            self.admin_site.admin_view(self.download_view),
            name="datasets_dataset_download",
        )
        return [fetch, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        current = Version.objects.filter(dataset=OuterRef("pk"), is_current=True)
        rows: QuerySet[Any] = super().get_queryset(request)
        described: QuerySet[Any] = rows.annotate(
            current_number=Subquery(current.values("number")),
            current_files=Subquery(current.values("file_count")),
            current_rows=Subquery(current.values("rows")),
            current_bytes=Subquery(current.values("size_bytes")),
            current_at=Subquery(current.values("created_at")),
        )
        return described

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        if request.method not in ("GET", "HEAD"):
            raise PermissionDenied
        dataset = self.get_object(request, object_id)
        if dataset is None:
            return self.answer_missing(request, object_id)
        context = {
            **self.admin_site.each_context(request),
            "title": dataset.name,
            "subtitle": None,
            "opts": self.opts,
            "original": dataset,
            "job": getattr(dataset, "job", None),
            "versions": list(dataset.versions.order_by("-number")[: VERSIONS_SHOWN + 1]),
            "versions_shown": VERSIONS_SHOWN,
            "index": describe_index(dataset),
        }
        number = request.GET.get("version", "")[:9]
        try:
            wanted = int(number) if number.isascii() and number.isdigit() else None
            version = get_version(dataset, wanted)
            context |= {"version": version, "buttons": self._buttons_for(request, version)}
            if dataset.kind == DatasetKind.TABLE:
                words = ("view", "table", "against", "after")
                asked = {word: _without_nul(request.GET.get(word, "")) for word in words}
                context |= show_tables(dataset, version, asked)
            else:
                context |= self._listing(request, dataset, version)
        except NoSuchVersion as exc:
            if wanted is not None:
                messages.error(request, f"{exc}.")
        return TemplateResponse(request, "console/dataset.html", context)

    def _listing(self, request: HttpRequest, dataset: Dataset, version: Version) -> dict[str, Any]:
        folder = _without_nul(request.GET.get("folder", "")).strip("/")
        start = _without_nul(request.GET.get("from", ""))
        listing = browsing.list_folder(dataset.pk, version.number, folder, start=start)
        return {
            "folder": folder,
            "crumbs": browsing.crumbs(folder),
            "rows": [(row, _modified(row.modified_ns)) for row in listing.rows],
            "next_start": listing.next_start,
        }

    def _buttons_for(self, request: HttpRequest, version: Version) -> list[dict[str, Any]]:
        """A version's page is this one."""
        of_versions = self.admin_site.get_model_admin(Version)
        if not isinstance(of_versions, ButtonsAdmin):
            raise TypeError("versions have buttons")
        return of_versions.buttons_for(request, version)

    def download_view(
        self, request: HttpRequest, pk: str | UUID, entry_id: int
    ) -> HttpResponseBase:
        dataset = self.get_object(request, str(pk))
        if not isinstance(dataset, Dataset):
            raise Http404
        entry = Entry.objects.filter(dataset=dataset, pk=min(entry_id, 2**63 - 1)).first()
        if entry is None:
            raise Http404
        try:
            return download(dataset, entry)
        except (StoreError, OSError) as exc:
            messages.error(
                request,
                f"This file cannot be read: {exc}.",
            )
        except NoPlace as full:
            words = f"{full.most} downloads are under way. Try again when one has ended."
            messages.error(request, words)
        return HttpResponseRedirect(find_page_url(dataset))

    @admin.display(description="sync job")
    def show_job(self, dataset: Dataset) -> str:
        job = getattr(dataset, "job", None)
        return link(job, job.name) if job else "its job was deleted"

    @admin.display(ordering="current_number")
    def version(self, dataset: Any) -> str:
        return f"v{dataset.current_number}" if dataset.current_number else NOTHING

    @admin.display(description="holds")
    def held(self, dataset: Any) -> str:
        if dataset.current_files is None:
            return NOTHING
        if dataset.kind == DatasetKind.TABLE:
            return f"{dataset.current_rows} rows"
        return f"{dataset.current_files} files"

    @admin.display(ordering="current_bytes")
    def size(self, dataset: Any) -> str:
        return size_words(dataset.current_bytes)

    @admin.display(description="last change", ordering="current_at")
    def changed(self, dataset: Any) -> str:
        return moment(dataset.current_at)


def _without_nul(text: str) -> str:
    return text.replace("\0", "")


def _modified(modified_ns: int | None) -> datetime | None:
    """Returns None also for times that no calendar holds: a far end may claim anything."""
    if modified_ns is None:
        return None
    try:
        return datetime.fromtimestamp(modified_ns / 1_000_000_000, UTC)
    except (OverflowError, OSError, ValueError):
        return None
