"""The product's own paths, and beside them the least that a view can do: fifty rows, as they are."""

from __future__ import annotations

from django.http import HttpRequest, JsonResponse
from django.urls import path

from syncjobs.models import SyncRecord
from syncproject.urls import urlpatterns as product


def bare(request: HttpRequest) -> JsonResponse:
    rows = SyncRecord.objects.order_by("-queued_at").values()[:50]
    return JsonResponse({"items": list(rows)})


urlpatterns = [path("bare", bare), *product]
