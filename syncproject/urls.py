"""Maps each path to its view."""

from __future__ import annotations

from functools import partial

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView
from ninja.openapi.views import openapi_view

from api.mcp import serving as mcp_serving
from api.rest.health import health
from api.rest.metrics import metrics
from api.rest.service import make_service
from console.invited import InvitationView
from console.searching import search_view

# Here, and not at each start: a command and a worker show no pages, and start in a third less of the time.
admin.autodiscover()
service = make_service()

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("health", health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("api-docs", partial(openapi_view, api=service), name="api-docs"),
    path("mcp", mcp_serving.answer, name="mcp"),
    path("admin/search/", admin.site.admin_view(search_view), name="console-search"),
    path("admin/", admin.site.urls),
    path("invitations/<str:token>", InvitationView.as_view(), name="invitation"),
    path("", service.urls),
]
