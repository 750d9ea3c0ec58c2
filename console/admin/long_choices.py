"""Choices of a form that are too many for one list: the page offers those that match what a person types.

A select of ten thousand jobs would be most of the page's bytes, and nobody finds a name in it.
"""

from __future__ import annotations

from typing import Any

from django.contrib.admin import AdminSite, site
from django.contrib.admin.widgets import AutocompleteSelect
from django.core.exceptions import FieldDoesNotExist
from django.db.models import ForeignKey, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest

LISTED_MAX = 100


def offer_as_typed(
    db_field: ForeignKey[Any, Any], field: ModelChoiceField[Any], admin_site: AdminSite
) -> None:
    """Replaces a select that is too long by one that asks the server."""
    model = db_field.remote_field.model
    searched = admin_site._registry.get(model)
    if searched is None or not searched.search_fields or field.queryset is None:
        return
    if field.queryset.order_by().values("pk")[: LISTED_MAX + 1].count() <= LISTED_MAX:
        return
    widget = AutocompleteSelect(db_field, admin_site)
    widget.is_required = field.required
    field.widget = widget
    widget.choices = field.choices


def keep_what_the_form_takes(request: HttpRequest, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Of the rows that match what was typed, those that the form's field accepts."""
    match = request.resolver_match
    if match is None or match.url_name != "autocomplete":
        return rows
    asked = (request.GET.get("app_label", ""), request.GET.get("model_name", ""))
    for model, page in site._registry.items():
        if (model._meta.app_label, model._meta.model_name) != asked:
            continue
        try:
            source = model._meta.get_field(request.GET.get("field_name", ""))
        except FieldDoesNotExist:
            return rows.none()
        if isinstance(source, ForeignKey):
            taken = page.formfield_for_foreignkey(source, request)
            if taken is not None and taken.queryset is not None:
                return rows.filter(pk__in=taken.queryset.order_by().values("pk"))
    return rows.none()
