"""The class that every page of the console is made from: rows by workspace, rights by role."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.contrib import messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import ForeignKey, Model, QuerySet
from django.db.models.constants import LOOKUP_SEP
from django.forms import ModelChoiceField
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from console import tenancy
from console.admin.bulk import BulkAct, ask_first, asks_for_all
from console.admin.keyset import KeysetChangeList, KeysetPaginator
from console.admin.long_choices import keep_what_the_form_takes, offer_as_typed
from workspaces.models import Role, Workspace
from workspaces.races import work_again_after_races

if TYPE_CHECKING:
    from django.contrib.admin import ModelAdmin

    UnfoldAdmin = ModelAdmin[Any]
else:
    from unfold.admin import ModelAdmin as UnfoldAdmin


# Fields of any model, wherever a lookup comes to them: no list is filtered by one.
SEALED = frozenset({"sealed_secret", "digest", "password", "session_data"})


class SettledAdmin(UnfoldAdmin):
    """A form that loses a race for a name comes back with the field's error, as if it had been sent later. Lists are
    paged by their rows, and counted up to a bound."""

    counts_rows = True
    bulk_acts: Mapping[
        str, BulkAct
    ] = {}  # by the action's name: what may be done to all that match
    paginator = KeysetPaginator
    show_full_result_count = False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def lookup_allowed(self, lookup: str, value: Any, request: HttpRequest | None = None) -> bool:
        """Refuses filters on sealed values, even on their beginning: a person who may filter by a value can find it out."""
        if SEALED.intersection(lookup.split(LOOKUP_SEP)):
            return False
        allowed: Callable[..., bool] = super().lookup_allowed
        return allowed(lookup, value, request)

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: Callable[..., HttpResponse] = super().changeform_view
        return work_again_after_races(lambda: answer(request, *args, **kwargs))

    def delete_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        answer: Callable[..., HttpResponse] = super().delete_view
        return work_again_after_races(lambda: answer(request, *args, **kwargs))


class ScopedAdmin(SettledAdmin):
    """`workspace_path` is the lookup from the model to its workspace.

    Django's own model permissions play no part: a member's role decides, in each workspace apart.
    """

    workspace_path = "workspace"
    change_form_template = "console/change_form.html"
    list_per_page = 50
    list_fullwidth = True
    warn_unsaved_form = True

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = tenancy.scope(request, self.rows(request), path=self.workspace_path)
        view = request.resolver_match.url_name if request.resolver_match else None
        is_list = view == f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return tenancy.narrow(request, rows, path=self.workspace_path) if is_list else rows

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        shown: list[Any] = list(super().get_list_display(request))
        if tenancy.shows_one_workspace(request) and shown[0] != "workspace":
            return [column for column in shown if column != "workspace"]
        return shown

    def rows(self, request: HttpRequest) -> QuerySet[Any]:
        """Of all workspaces, in the list's order."""
        return super().get_queryset(request)

    def workspace_of(self, obj: Any) -> UUID:
        return UUID(str(obj.workspace_id))

    def answer_missing(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """The same for what is not there and for what is another workspace's."""
        answer: HttpResponse = self._get_obj_does_not_exist_redirect(  # type: ignore[attr-defined]
            request, self.opts, object_id
        )
        return answer

    def has_module_permission(self, request: HttpRequest) -> bool:
        return tenancy.may(request, Role.VIEWER)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, Role.VIEWER, obj)

    def has_operate_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, Role.OPERATOR, obj)

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, Role.ADMIN, None)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, Role.ADMIN, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return self._may(request, Role.ADMIN, obj)

    def operable(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Returns those of the selected rows on which the person may act."""
        return tenancy.scope(request, rows, path=self.workspace_path, needed=Role.OPERATOR)

    def changeable(self, request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
        """Returns those of the selected rows that the person may change."""
        return tenancy.scope(request, rows, path=self.workspace_path, needed=Role.ADMIN)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[Any], *args: Any
    ) -> HttpResponse | None:
        """Of all that match, an action gets the first ones alone, and it is asked for once more with these."""
        name = request.POST.get("action", "")
        if not asks_for_all(request):
            answer: HttpResponse | None = super().response_action(request, queryset, *args)
            return answer
        act, action = self.bulk_acts.get(name), self.get_actions(request).get(name)
        if act is None or action is None:
            messages.error(request, "This is done to ticked rows only. Nothing was changed.")
            return HttpResponseRedirect(request.get_full_path())
        return ask_first(self, request, queryset, str(action[2]), act)

    def refuse_deletion(self, request: HttpRequest, objs: Iterable[Any]) -> set[str]:
        """For `get_deleted_objects`: not empty where any of the rows is not theirs to delete."""
        refused = any(not self.has_delete_permission(request, obj) for obj in objs)
        return {str(self.opts.verbose_name)} if refused else set()

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        super().delete_queryset(request, self.changeable(request, queryset))

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        model: type[Model] = db_field.remote_field.model
        if "queryset" not in kwargs and not tenancy.sees_all(request):
            if model is Workspace:
                path = "pk"
            elif any(field.name == "workspace" for field in model._meta.fields):
                path = "workspace"
            else:  # a model outside all workspaces: nothing of it is theirs to choose
                kwargs["queryset"] = model._default_manager.none()
                return super().formfield_for_foreignkey(db_field, request, **kwargs)
            rows: QuerySet[Model] = model._default_manager.all()
            kwargs["queryset"] = tenancy.scope(request, rows, path=path, needed=Role.ADMIN)
        if model is Workspace:
            usual = tenancy.find_usual_workspace(request, Role.ADMIN)
            kwargs.setdefault("initial", usual)
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None:
            offer_as_typed(db_field, field, self.admin_site)
        return field

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        rows, may_repeat = super().get_search_results(request, queryset, search_term)
        return keep_what_the_form_takes(request, rows), may_repeat

    def _may(self, request: HttpRequest, needed: Role, obj: Any) -> bool:
        workspace = self.workspace_of(obj) if isinstance(obj, self.model) else None
        return tenancy.may(request, needed, workspace)


class ReadOnlyAdmin(ScopedAdmin):
    """Rows that the work itself writes: to be looked at."""

    actions: Any = None
    warn_unsaved_form = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


class KeysetAdmin(ReadOnlyAdmin):
    """Rows whose list grows for ever: nobody counts them, and no other order would have an index."""

    counts_rows = False
    sortable_by = ()


class PlatformAdmin(SettledAdmin):
    """What belongs to no workspace: for superusers alone."""

    list_fullwidth = True
    warn_unsaved_form = True

    def has_module_permission(self, request: HttpRequest) -> bool:
        return tenancy.sees_all(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return tenancy.sees_all(request)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return tenancy.sees_all(request)

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return tenancy.sees_all(request)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return tenancy.sees_all(request)
