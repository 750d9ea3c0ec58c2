"""Invitations: made here, their link shown once, then only looked at and withdrawn."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from console import tenancy
from console.admin.buttons import Button, ButtonsAdmin
from console.admin.filters import WorkspaceFilter
from console.admin.forms import AnyModelForm
from console.labels import label, moment
from workspaces.invitations import (
    AlreadyInvited,
    AlreadyMember,
    check_invitable,
    make_invitation,
    state_of,
    withdraw,
)
from workspaces.models import Invitation, Role

_TONES = {"open": "wait", "accepted": "ok", "withdrawn": "none", "expired": "warn"}


class InvitationForm(AnyModelForm):
    """Whether somebody has the name is neither asked nor told."""

    class Meta:
        model = Invitation
        fields = ["workspace", "name", "role"]
        labels = {"name": "User name or e-mail address"}
        help_texts = {
            "name": "exactly as the person has it",
            "role": "viewer reads; operator also starts, cancels, releases; admin also configures",
        }

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        workspace, name = self.cleaned_data.get("workspace"), self.cleaned_data.get("name")
        if workspace and name:
            try:
                check_invitable(workspace, name)
            except (AlreadyInvited, AlreadyMember) as exc:
                self.add_error("name", f"{exc}.")
        return cleaned

    def validate_constraints(self) -> None:
        """An expired invitation is in nobody's way, whatever the constraint says of it."""


def _is_open(row: Invitation) -> bool:
    return state_of(row) == "open"


@admin.register(Invitation)
class InvitationAdmin(ButtonsAdmin):
    list_display = ["name", "workspace", "role", "standing", "invited_by", "made", "ends"]
    list_filter = [WorkspaceFilter, "role"]
    list_select_related = ["workspace"]
    search_fields = ["name", "invited_by"]
    buttons = (
        Button(
            "withdraw",
            "Withdraw",
            "stop",
            needs=Role.ADMIN,
            tone="risk",
            confirm="Withdraw this invitation? Its link opens nothing any more.",
            shown=_is_open,
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return tenancy.scope(request, super().get_queryset(request), needed=Role.ADMIN)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return tenancy.may(request, Role.ADMIN)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, Role.ADMIN, obj)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Any]]:
        if obj is None:
            kwargs["form"] = InvitationForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        if obj is None:
            return ["workspace", "name", "role"]
        return ["name", "workspace", "role", "standing", "invited_by", "created_at", "expires_at"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return self.get_fields(request, obj) if obj else []

    def save_model(self, request: HttpRequest, obj: Invitation, form: Any, change: bool) -> None:
        row, token = make_invitation(obj.workspace, obj.name, Role(obj.role))
        for field in row._meta.concrete_fields:
            setattr(obj, field.attname, getattr(row, field.attname))
        obj._state.adding = False
        link = request.build_absolute_uri(reverse("invitation", args=[token]))
        words = "Give {} this link, it is shown only once: <code>{}</code>"
        messages.success(request, format_html(words, row.name, link))

    def press_withdraw(self, request: HttpRequest, row: Invitation) -> None:
        if withdraw(row):
            messages.success(request, "Withdrawn.")

    @admin.display(description="state")
    def standing(self, row: Invitation) -> str:
        state = state_of(row)
        return label(state, tone=_TONES[state])

    @admin.display(description="made", ordering="created_at")
    def made(self, row: Invitation) -> str:
        return moment(row.created_at)

    @admin.display(description="ends", ordering="expires_at")
    def ends(self, row: Invitation) -> str:
        return moment(row.expires_at)
