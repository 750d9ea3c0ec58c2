"""What a person sets for themselves."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme

from workspaces.choosing import switch_letter_keys


def keys_view(request: HttpRequest) -> HttpResponse:
    """Switches keys of one letter on or off, and goes back to the page."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    switch_letter_keys(request.session, request.user, on=request.POST.get("on") == "1")
    back = request.POST.get("next", "")
    if not url_has_allowed_host_and_scheme(back, allowed_hosts=None):
        back = reverse("admin:index")
    return HttpResponseRedirect(back)
