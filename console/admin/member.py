"""Members: who may do what in a workspace."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from unfold import widgets

from console import tenancy
from console.admin.filters import WorkspaceFilter
from console.admin.forms import AnyModelForm, ScopedForm
from console.admin.scoped import ScopedAdmin
from workspaces.members import is_last_admin, remove_member, save_member
from workspaces.models import Member, Role


class MemberForm(ScopedForm):
    """For the platform's own people: everybody else invites (`console.admin.invitation`)."""

    username = forms.CharField(
        label="User name",
        widget=widgets.UnfoldAdminTextInputWidget({"autocomplete": "off"}),
        help_text="exactly as the person logs in",
    )

    class Meta:
        model = Member
        fields = ["workspace", "role"]

    def clean_username(self) -> str:
        username = str(self.cleaned_data["username"])
        user = get_user_model()._default_manager.filter(username=username, is_active=True).first()
        if user is None:
            raise forms.ValidationError("There is no active user of this name.")
        self.instance.user = user
        return username

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean()
        workspace, user = self.cleaned_data.get("workspace"), self.instance.user_id
        if workspace and user and Member.objects.filter(workspace=workspace, user=user).exists():
            self.add_error("username", "This person is a member already.")
        return cleaned


class RoleForm(AnyModelForm):
    class Meta:
        model = Member
        fields = ["role"]

    def clean_role(self) -> str:
        role = str(self.cleaned_data["role"])
        if role != Role.ADMIN and is_last_admin([self.instance]):
            raise forms.ValidationError("This is the workspace's last admin.")
        return role


@admin.register(Member)
class MemberAdmin(ScopedAdmin):
    list_display = ["user", "workspace", "role"]
    list_filter = [WorkspaceFilter, "role"]
    list_select_related = ["user", "workspace"]
    search_fields = ["user__username", "workspace__name"]
    ordering = ["workspace__name", "user__username"]

    def get_form(
        self, request: HttpRequest, obj: Model | None = None, change: bool = False, **kwargs: Any
    ) -> type[forms.ModelForm[Any]]:
        kwargs["form"] = MemberForm if obj is None else RoleForm
        return super().get_form(request, obj, change, **kwargs)

    def get_fields(self, request: HttpRequest, obj: Model | None = None) -> list[Any]:
        return ["workspace", self._whom(request) if obj else "username", "role"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> list[str]:
        return ["workspace", self._whom(request)] if obj else []

    def _whom(self, request: HttpRequest) -> str:
        """Users are pages of the platform: nobody else is led there."""
        return "user" if tenancy.sees_all(request) else "person"

    @admin.display(description="user")
    def person(self, member: Member) -> str:
        return str(member.user)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return tenancy.sees_all(request)

    def save_model(self, request: HttpRequest, obj: Member, form: Any, change: bool) -> None:
        save_member(obj)

    def get_deleted_objects(
        self, objs: Any, request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        members = list(objs)
        refused = self.refuse_deletion(request, members)
        kept = ["the last admin of a workspace"] if is_last_admin(members) else []
        return [str(member) for member in members], {"members": len(members)}, refused, kept

    def delete_model(self, request: HttpRequest, obj: Member) -> None:
        remove_member(obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Member]) -> None:
        for member in self.changeable(request, queryset):
            remove_member(member)
