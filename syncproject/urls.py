"""Maps each path to its view."""

from __future__ import annotations

from functools import partial

from django.contrib import admin
from django.urls import path
from django.views.generic import RedirectView
from ninja.openapi.views import openapi_view

from api.rest.health import health
from api.rest.metrics import metrics
from api.rest.service import make_service
from console.about import about_view
from console.fresh_tokens import put_away_view
from console.invited import InvitationView
from console.personal import keys_view
from console.searching import search_view

# Here, and not at each start: a command and a worker show no pages, and start sooner.
admin.autodiscover()
service = make_service()

handler403 = "console.refusing.tell_forbidden"
handler404 = "console.refusing.tell_not_found"
handler500 = "console.refusing.tell_error"

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("health", health, name="health"),
    path("metrics", metrics, name="metrics"),
    path("api-docs", partial(openapi_view, api=service), name="api-docs"),
    path("admin/search/", admin.site.admin_view(search_view), name="console-search"),
    path("admin/keys/", admin.site.admin_view(keys_view), name="console-keys"),
    path("admin/tokens/seen/", admin.site.admin_view(put_away_view), name="console-token-seen"),
    path("admin/about/", admin.site.admin_view(about_view), name="console-about"),
    path("admin/", admin.site.urls),
    path("invitations/<str:token>", InvitationView.as_view(), name="invitation"),
    path("", service.urls),
]
