"""Datasets: what is held, version by version, folder by folder, with each file to download."""

from __future__ import annotations

from collections.abc import Callable
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
from console.admin.dataset_keeping import describe_keeping, save_keeping, show_deletion
from console.admin.filters import WorkspaceFilter
from console.admin.scoped import ReadOnlyAdmin
from console.calling import call_far_end
from console.charts import draw_columns
from console.downloads import download, send_archive, show_inline
from console.labels import find_page_url, link, moment
from console.previews import preview_file
from console.searching import describe_index
from console.table_browsing import show_tables
from console.words import NOTHING, size_words
from datasets.archives import NothingHeld
from datasets.diffs import list_differences
from datasets.keeping import measure_kept
from datasets.models import Dataset, DatasetKind, Entry, Version
from datasets.reading import NoSuchVersion, find_entries, get_version
from store.errors import StoreError
from workspaces.models import Role
from workspaces.places import NoPlace

VERSIONS_SHOWN = 12
DIFFERENCES = 100
NUMBER_DIGITS = 9
ENTRY_MAX = 2**63 - 1


@admin.register(Dataset)
class DatasetAdmin(ReadOnlyAdmin):
    list_display = ["name", "workspace", "show_job", "version", "held", "size", "changed"]
    list_filter = [WorkspaceFilter]
    list_select_related = ["workspace", "job"]
    search_fields = ["name"]

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, tuple[str, Callable[..., HttpResponseBase]]] = {
            "entries/<int:entry_id>/": ("download", self.download_view),
            "entries/<int:entry_id>/shown/": ("shown", self.shown_view),
            "versions/": ("versions", self.versions_view),
            "versions/<int:number>/archive/": ("archive", self.archive_view),
            "keeping/": ("keeping", self.keeping_view),
            "delete/": ("delete_all", self.delete_all_view),
        }
        own = [
            path(
                f"<uuid:pk>/{route}",
                self.admin_site.admin_view(view),
                name=f"datasets_dataset_{name}",
            )
            for route, (name, view) in views.items()
        ]
        return [*own, *super().get_urls()]

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
        context = self._begin(request, dataset, "files")
        if (version := context["version"]) is not None:
            if dataset.kind == DatasetKind.TABLE:
                words = ("view", "table", "against", "after")
                asked = {word: _without_nul(request.GET.get(word, "")) for word in words}
                versions = list(dataset.versions.order_by("-number")[: VERSIONS_SHOWN + 1])
                context |= {"versions": versions, "versions_shown": VERSIONS_SHOWN}
                context |= show_tables(dataset, version, asked)
            else:
                context |= self._listing(request, dataset, version)
        return TemplateResponse(request, "console/dataset.html", context)

    def _begin(self, request: HttpRequest, dataset: Dataset, tab: str) -> dict[str, Any]:
        """What each tab shows. `version` is the one that is asked for, or the current one; None: there is none."""
        version = None
        wanted = _read_number(request.GET.get("version", ""))
        try:
            version = get_version(dataset, wanted)
        except NoSuchVersion as exc:
            if wanted is not None:
                messages.error(request, f"{exc}.")
        return {
            **self.admin_site.each_context(request),
            "title": dataset.name,
            "subtitle": None,
            "opts": self.opts,
            "original": dataset,
            "tab": tab,
            "job": getattr(dataset, "job", None),
            "version": version,
            "buttons": self._buttons_for(request, version) if version else [],
            "index": describe_index(dataset) if tab == "files" else None,
        }

    def _listing(self, request: HttpRequest, dataset: Dataset, version: Version) -> dict[str, Any]:
        folder = _without_nul(request.GET.get("folder", "")).strip("/")
        start = _without_nul(request.GET.get("from", ""))
        listing = browsing.list_folder(dataset.pk, version.number, folder, start=start)
        folders = [row.path for row in listing.rows if row.is_folder]
        sizes = browsing.measure_folders(dataset.pk, version.number, folders)
        return {
            "folder": folder,
            "crumbs": browsing.crumbs(folder),
            "rows": [
                (row, _modified(row.modified_ns), sizes.get(row.path)) for row in listing.rows
            ],
            "start": start,
            "next_start": listing.next_start,
            **self._previewing(request, dataset, version),
        }

    def _previewing(
        self, request: HttpRequest, dataset: Dataset, version: Version
    ) -> dict[str, Any]:
        entry_id = _read_number(request.GET.get("preview", ""), digits=18)
        if entry_id is None:
            return {}
        entry = find_entries(dataset, version.number).filter(pk=entry_id).first()
        if entry is None:
            return {}
        preview = call_far_end(
            request, entry.path, dataset.workspace_id, lambda: preview_file(version, entry)
        )
        return {"entry": entry, "preview": preview, "entry_modified": _modified(entry.modified_ns)}

    def versions_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """The versions, newest first, and what differs between two of them."""
        dataset = self._get(request, pk)
        context = self._begin(request, dataset, "versions")
        before = _read_number(request.GET.get("before", ""))
        rows = dataset.versions.order_by("-number")
        shown = list(
            (rows if before is None else rows.filter(number__lt=before))[: VERSIONS_SHOWN + 1]
        )
        context |= {
            "versions": shown[:VERSIONS_SHOWN],
            "older": shown[VERSIONS_SHOWN - 1].number if len(shown) > VERSIONS_SHOWN else None,
            "chart": _draw_sizes(list(reversed(shown[:VERSIONS_SHOWN]))),
            "may_go_back": self._may(request, Role.ADMIN, dataset),
        }
        context |= self._differences(request, dataset, context["version"])
        return TemplateResponse(request, "console/dataset_versions_tab.html", context)

    def _differences(
        self, request: HttpRequest, dataset: Dataset, current: Version | None
    ) -> dict[str, Any]:
        if current is None or dataset.kind == DatasetKind.TABLE:
            return {}
        number = _read_number(request.GET.get("to", "")) or current.number
        against = _read_number(request.GET.get("from", ""))
        asked = {number, number - 1 if against is None else against}
        found = {row.number: row for row in dataset.versions.filter(number__in=asked)}
        before = found.get(number - 1 if against is None else against)
        after = found.get(number)
        if before is None or after is None:
            if against is not None or after is None:
                messages.error(request, "There is no such version.")
            return {}
        cursor = _read_number(request.GET.get("after", ""), digits=18)
        paths = dataset.entries.filter(pk=cursor or 0).values_list("path", flat=True)
        last = paths.first() or ""
        rows, following = list_differences(
            dataset.pk, before.number, after.number, last=last, limit=DIFFERENCES
        )
        return {"before": before, "after": after, "differences": rows, "following": following}

    def keeping_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        """What is kept, what goes next, and the rule."""
        dataset, form = self._get(request, pk), None
        if request.method == "POST":
            if not self.may_keep(request, dataset):
                raise PermissionDenied
            answer = save_keeping(request, dataset)
            if isinstance(answer, HttpResponse):
                return answer
            form = answer
        context = self._begin(request, dataset, "keeping") | {
            "kept": measure_kept(dataset),
            "may_keep": self.may_keep(request, dataset),
            **describe_keeping(dataset, form),
        }
        return TemplateResponse(request, "console/dataset_keeping.html", context)

    def delete_all_view(self, request: HttpRequest, pk: UUID) -> HttpResponse:
        dataset = self._get(request, pk)
        if not self.may_keep(request, dataset):
            raise PermissionDenied
        return show_deletion(request, dataset, self.admin_site.each_context(request))

    def may_keep(self, request: HttpRequest, dataset: Dataset) -> bool:
        """Whether the person decides what is kept."""
        return self._may(request, Role.ADMIN, dataset)

    def archive_view(self, request: HttpRequest, pk: UUID, number: int) -> HttpResponseBase:
        """The version, or a folder of it, as a ZIP."""
        dataset = self._get(request, pk)
        folder = _without_nul(request.GET.get("folder", "")).strip("/")
        try:
            if dataset.kind != DatasetKind.FILES:
                raise Http404
            version = get_version(dataset, min(number, 10**NUMBER_DIGITS))
            return send_archive(version, f"{folder}/" if folder else "")
        except (NoSuchVersion, NothingHeld):
            raise Http404 from None
        except (StoreError, OSError) as exc:
            messages.error(request, f"A file cannot be read, so there is no ZIP: {exc}.")
        except NoPlace as full:
            words = f"{full.most} downloads are under way. Try again when one has ended."
            messages.error(request, words)
        return HttpResponseRedirect(find_page_url(dataset))

    def shown_view(self, request: HttpRequest, pk: UUID, entry_id: int) -> HttpResponseBase:
        """A picture or a PDF, for a browser that draws it; anything else is not there."""
        dataset = self._get(request, pk)
        entry = Entry.objects.filter(dataset=dataset, pk=min(entry_id, ENTRY_MAX)).first()
        if entry is None:
            raise Http404
        try:
            shown = show_inline(dataset, entry)
        except (StoreError, OSError, NoPlace):
            raise Http404 from None
        if shown is None:
            raise Http404
        return shown

    def _get(self, request: HttpRequest, pk: UUID) -> Dataset:
        """Raises Http404."""
        dataset = self.get_object(request, str(pk))
        if not isinstance(dataset, Dataset):
            raise Http404
        return dataset

    def _buttons_for(self, request: HttpRequest, version: Version) -> list[dict[str, Any]]:
        """A version's page is this one."""
        of_versions = self.admin_site.get_model_admin(Version)
        if not isinstance(of_versions, ButtonsAdmin):
            raise TypeError("versions have buttons")
        return of_versions.buttons_for(request, version)

    def download_view(self, request: HttpRequest, pk: UUID, entry_id: int) -> HttpResponseBase:
        dataset = self._get(request, pk)
        entry = Entry.objects.filter(dataset=dataset, pk=min(entry_id, ENTRY_MAX)).first()
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


def _read_number(text: str, *, digits: int = NUMBER_DIGITS) -> int | None:
    """Returns None for what is no number."""
    text = text[:digits]
    return int(text) if text.isascii() and text.isdigit() else None


def _draw_sizes(versions: list[Version]) -> str:
    """Bytes of each version, oldest first."""
    if len(versions) < 2:
        return ""
    unit = 1 << 20
    values = [
        (f"v{version.number}", version.size_bytes / unit, size_words(version.size_bytes))
        for version in versions
    ]
    first, last = versions[0], versions[-1]
    name = (
        f"Size of the versions {first.number} to {last.number}: {size_words(first.size_bytes)} to"
        f" {size_words(last.size_bytes)}"
    )
    return draw_columns(values, name)


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
