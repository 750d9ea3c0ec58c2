"""Buttons on a page that do something: POST only, CSRF-protected, checked against the row's role."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from django.core.exceptions import PermissionDenied
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseNotAllowed,
    HttpResponseRedirect,
)
from django.urls import URLPattern, path, reverse

from console.admin.scoped import ScopedAdmin
from workspaces.models import Role


def _always(_: Any) -> bool:
    return True


def _nothing(_: Any) -> str:
    return ""


@dataclass(frozen=True, slots=True)
class Button:
    """`name` leads to the method `press_<name>(request, obj) -> HttpResponse | None`. `confirm` is asked in a dialog
    before; where it removes much, `must_type` tells from the row what a person then has to type."""

    name: str
    title: str
    icon: str
    needs: Role = Role.OPERATOR
    tone: Literal["", "main", "risk"] = ""
    confirm: str = ""
    must_type: Callable[[Any], str] = _nothing
    shown: Callable[[Any], bool] = _always


class ButtonsAdmin(ScopedAdmin):
    buttons: tuple[Button, ...] = ()

    def get_urls(self) -> list[URLPattern]:
        pressed = path(
            "<path:object_id>/press/<slug:name>/",
            self.admin_site.admin_view(self.press),
            name=f"{self.opts.app_label}_{self.opts.model_name}_press",
        )
        return [pressed, *super().get_urls()]

    def press(self, request: HttpRequest, object_id: str, name: str) -> HttpResponseBase:
        """404 for what is not there or not theirs, 403 for what their role does not allow."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        button = next((button for button in self.buttons if button.name == name), None)
        obj = self.get_object(request, object_id)
        if obj is None or button is None:
            raise Http404
        if not self._may(request, button.needs, obj):
            raise PermissionDenied
        answer: HttpResponse | None = getattr(self, f"press_{name}")(request, obj)
        return answer or HttpResponseRedirect(self.page(obj))

    def page(self, obj: Any) -> str:
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_change"
        return reverse(name, args=[obj.pk])

    def press_url(self, obj: Any, name: str) -> str:
        view = f"admin:{self.opts.app_label}_{self.opts.model_name}_press"
        return reverse(view, args=[obj.pk, name])

    def buttons_for(self, request: HttpRequest, obj: Any) -> list[dict[str, Any]]:
        """What the template `console/buttons.html` draws."""
        return [
            {
                "button": button,
                "url": self.press_url(obj, button.name),
                "must_type": button.must_type(obj),
            }
            for button in self.buttons
            if button.shown(obj) and self._may(request, button.needs, obj)
        ]

    def response_post_save_add(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        """What is saved is looked at next: its page has the buttons that go on with it."""
        return HttpResponseRedirect(self.page(obj))

    def response_post_save_change(self, request: HttpRequest, obj: Any) -> HttpResponseRedirect:
        return HttpResponseRedirect(self.page(obj))

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        obj = context.get("original")
        context |= {"show_save_and_add_another": False, "show_save_and_continue": obj is not None}
        if obj is not None:
            context["buttons"] = self.buttons_for(request, obj)
        return super().render_change_form(request, context, *args, **kwargs)
