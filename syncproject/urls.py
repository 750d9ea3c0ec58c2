"""Where each path leads."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView

from api.cleaning import clean_up_stuck
from console.health import health
from console.metrics import metrics

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("health", health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("api/v1/sync/cleanup", clean_up_stuck, name="clean-up"),
    path("admin/", admin.site.urls),
]
