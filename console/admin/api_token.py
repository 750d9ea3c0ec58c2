"""API tokens: made here, shown once, then only named and revoked."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django.utils import timezone

from console.admin.bulk import BULK_MAX, BulkAct, NotDone, work_through
from console.admin.buttons import Button, ButtonsAdmin
from console.admin.filters import WorkspaceFilter
from console.fresh_tokens import keep_fresh_token
from console.labels import label, moment
from workspaces.models import ApiToken, Role
from workspaces.tokens import create_token, rename_token, revoke_token


def _is_live(row: ApiToken) -> bool:
    return row.revoked_at is None


@admin.register(ApiToken)
class ApiTokenAdmin(ButtonsAdmin):
    list_display = ["name", "workspace", "role", "show_prefix", "standing", "used", "created_at"]
    list_filter = [WorkspaceFilter, "role"]
    list_select_related = ["workspace"]
    search_fields = ["name", "prefix"]
    actions = ["revoke_selected"]
    bulk_acts = {
        "revoke_selected": BulkAct(
            "Programs that use these tokens stop working at once.",
            "revoked",
            Role.ADMIN,
            tone="risk",
        )
    }
    buttons = (
        Button(
            "revoke",
            "Revoke",
            "stop",
            needs=Role.ADMIN,
            tone="risk",
            confirm="Revoke this token? Programs that use it stop working at once.",
            shown=_is_live,
        ),
    )

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        if obj is None:
            return ["workspace", "name", "role", "expires_at"]
        return [
            "name",
            "workspace",
            "role",
            "show_prefix",
            "standing",
            "expires_at",
            "used",
            "created_at",
        ]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        fields = self.get_fields(request, obj)
        return fields[1:] if obj else []

    def save_model(self, request: HttpRequest, obj: ApiToken, form: Any, change: bool) -> None:
        if change:
            rename_token(obj, obj.name)
            return
        row, token = create_token(
            obj.workspace, name=obj.name, role=Role(obj.role), expires_at=obj.expires_at
        )
        obj.pk, obj.prefix, obj.created_at = row.pk, row.prefix, row.created_at
        obj._state.adding = False
        keep_fresh_token(request, obj.name, token)

    def press_revoke(self, request: HttpRequest, row: ApiToken) -> None:
        self._revoke(request, ApiToken.objects.filter(pk=row.pk))

    @admin.action(description="Revoke", permissions=["change"])
    def revoke_selected(self, request: HttpRequest, rows: QuerySet[ApiToken]) -> None:
        def revoke(row: ApiToken) -> None:
            if row.revoked_at is not None or not revoke_token(row):
                raise NotDone("revoked already")
            self.log_change(request, row, "Revoked.")

        work_through(request, rows[:BULK_MAX], self.bulk_acts["revoke_selected"], revoke)

    def _revoke(self, request: HttpRequest, rows: QuerySet[ApiToken]) -> None:
        revoked = [row for row in rows.filter(revoked_at=None) if revoke_token(row)]
        for row in revoked:
            self.log_change(request, row, "Revoked.")
        count = len(revoked)
        messages.success(request, f"{count} token{'' if count == 1 else 's'} revoked.")

    @admin.display(description="begins with")
    def show_prefix(self, row: ApiToken) -> str:
        return f"sp_{row.prefix}_…"

    @admin.display(description="state")
    def standing(self, row: ApiToken) -> str:
        if row.revoked_at is not None:
            return label("revoked", tone="bad")
        if row.expires_at is not None and row.expires_at <= timezone.now():
            return label("expired", tone="warn")
        return label("live", tone="ok")

    @admin.display(description="last used", ordering="last_used_at")
    def used(self, row: ApiToken) -> str:
        return moment(row.last_used_at)

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Any]]:
        kwargs.setdefault(
            "help_texts",
            {
                "role": "viewer reads; operator also starts, cancels, releases; admin also configures",
                "expires_at": "empty: never",
            },
        )
        return super().get_form(request, obj, change, **kwargs)
