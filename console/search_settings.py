"""How a workspace is searched: the service that makes its vectors, tried before it is saved, and the languages of its words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from console import tenancy
from farends.errors import AuthConfig
from search.choices import (
    BATCH,
    BATCH_MAX,
    BUILTIN,
    DIMENSIONS_MAX,
    MODEL_MAX,
    OFF,
    OPENAI,
    PREFIX_MAX,
    URL_MAX,
    EmbeddingChoice,
    InvalidSearch,
    default_embedding,
    find_embedding,
    find_languages,
    tell_choice,
    tell_own_choice,
    write_choice,
)
from search.embedding.trying import TRIAL_TEXT, Trial, try_embedding
from search.querying.states import read_state
from syncjobs.configuration.yaml_in import write_settings
from workspaces import auditing
from workspaces.models import Role, Workspace
from workspaces.places import CALLS_MAX, CALLS_OF_WORKSPACE, NoPlace, calls

_DEFAULT = ""
_OF_OPENAI = ("url", "model", "dimensions", "batch", "query_prefix", "passage_prefix")
_FIELD = {"class": "sp-field"}


class SearchSettingsForm(forms.Form):
    """`given` is what the form says, as REST and YAML say it, once it is valid. The stored key is not among its values."""

    service = forms.ChoiceField(
        label="Vectors by",
        required=False,
        widget=forms.Select(_FIELD),
        help_text="What makes vectors of texts, so that search finds what means the same in other words.",
    )
    url = forms.CharField(
        label="URL",
        required=False,
        max_length=URL_MAX,
        widget=forms.TextInput({**_FIELD, "placeholder": "https://embed.example.com/v1", "inputmode": "url"}),
        help_text="The base of a service that speaks OpenAI's API: “/embeddings” is appended.",
    )  # fmt: skip
    model = forms.CharField(
        label="Model",
        required=False,
        max_length=MODEL_MAX,
        widget=forms.TextInput({**_FIELD, "placeholder": "text-embedding-3-small"}),
        help_text="As the service calls it.",
    )
    key = forms.CharField(
        label="Key",
        required=False,
        widget=forms.PasswordInput({**_FIELD, "autocomplete": "new-password"}),
    )
    forget_key = forms.BooleanField(label="Forget the stored key", required=False)
    dimensions = forms.IntegerField(
        label="Dimensions",
        required=False,
        min_value=1,
        max_value=DIMENSIONS_MAX,
        widget=forms.NumberInput(_FIELD),
        help_text="Numbers of one vector. Empty: as many as the model gives.",
    )
    batch = forms.IntegerField(
        label="Texts of one request",
        required=False,
        min_value=1,
        max_value=BATCH_MAX,
        widget=forms.NumberInput({**_FIELD, "placeholder": str(BATCH)}),
    )
    query_prefix = forms.CharField(
        label="Before a question",
        required=False,
        strip=False,
        max_length=PREFIX_MAX,
        widget=forms.TextInput({**_FIELD, "placeholder": "query: "}),
        help_text="Some models want such a word. Empty for most.",
    )
    passage_prefix = forms.CharField(
        label="Before a text",
        required=False,
        strip=False,
        max_length=PREFIX_MAX,
        widget=forms.TextInput({**_FIELD, "placeholder": "passage: "}),
    )
    languages = forms.CharField(
        label="Languages",
        required=False,
        max_length=1_000,
        widget=forms.TextInput({**_FIELD, "placeholder": "english, german"}),
        help_text="Of the words in the files, with commas between. Empty: as the installation has it.",
    )

    def __init__(self, workspace: Workspace, data: Mapping[str, Any] | None = None) -> None:
        self.workspace = workspace
        self.given: dict[str, Any] = {}
        own, has_key = tell_own_choice(workspace)
        chosen = own.get("embedding") or {}
        initial = {name: value for name, value in chosen.items() if value is not None}
        initial["languages"] = ", ".join(own.get("languages") or ())
        super().__init__(data, initial=initial)
        usual = default_embedding()
        services: Any = self.fields["service"]
        services.choices = [
            (_DEFAULT, f"as the installation has it ({_name(usual)})"),
            (BUILTIN, "the built-in model, on this machine"),
            (OPENAI, "an outside service (OpenAI's API)"),
            (OFF, "nothing: search by words alone"),
        ]
        held = "A key is stored, and is shown to nobody. Empty: it stays, for this host."
        self.fields["key"].help_text = held if has_key else "Empty: the service wants none."
        if not has_key:
            del self.fields["forget_key"]

    def clean(self) -> dict[str, Any]:
        found = super().clean() or {}
        self.given = {"embedding": self._written(found), "languages": _read_languages(found)}
        try:
            with transaction.atomic():  # as a trial: what is wrong stands beside its field
                write_choice(self.workspace, self.given)
                transaction.set_rollback(True)
        except InvalidSearch as exc:
            for place, words in exc.problems:
                name = next((str(part) for part in reversed(place) if part in self.fields), None)
                sentence = f"{words[:1].upper()}{words[1:]}"
                self.add_error(name, sentence if sentence.endswith(".") else f"{sentence}.")
        return found

    def find_choice(self) -> EmbeddingChoice:
        """What the form says, with the key that it leaves. Raises AuthConfig."""
        with transaction.atomic():
            write_choice(self.workspace, self.given)
            choice = find_embedding(self.workspace.pk)
            transaction.set_rollback(True)
        return choice

    def _written(self, found: Mapping[str, Any]) -> dict[str, Any] | None:
        service = found.get("service", _DEFAULT)
        if service == _DEFAULT:
            return None
        if service != OPENAI:
            return {"service": service}
        written = {name: found.get(name) for name in _OF_OPENAI}
        told = {name: value for name, value in written.items() if value not in (None, "")}
        if found.get("key"):
            told["key"] = found["key"]
        elif found.get("forget_key"):
            told["key"] = None
        return {"service": service, **told}


@dataclass(frozen=True, slots=True)
class ShownTrial:
    """What a trial of the service came to."""

    passed: bool
    words: str


def search_settings_view(request: HttpRequest, workspace: Workspace) -> HttpResponse:
    """For members who may look; whoever changes or tries something is an admin. Raises PermissionDenied."""
    may = tenancy.may(request, Role.ADMIN, workspace.pk)
    if request.method == "POST" and not may:
        raise PermissionDenied
    form = SearchSettingsForm(workspace, request.POST if request.method == "POST" else None)
    trial: ShownTrial | None = None
    if "try" in request.POST:
        trial = _try(form) if form.is_valid() else _tell_errors(form)
        if "HX-Request" in request.headers:  # what was typed stays, the key too
            return TemplateResponse(request, "console/search_trial.html", {"trial": trial})
    elif form.is_bound and form.is_valid():
        return _save(request, form)
    context = {
        **admin.site.each_context(request),
        "title": "How it is searched",
        "workspace": workspace,
        "form": form if may else None,
        "languages": ", ".join(find_languages(workspace.pk)),
        "now": tell_choice(workspace.pk)["embedding"],
        "index": read_state(workspace.pk, []),
        "trial": trial,
        "trial_text": TRIAL_TEXT,
    }
    return TemplateResponse(request, "console/search_settings.html", context)


def _save(request: HttpRequest, form: SearchSettingsForm) -> HttpResponse:
    write_settings(form.workspace, {"search": form.given})
    words = "Saved. The index catches up by itself; until then search goes on as it was."
    messages.success(request, words)
    page = reverse("admin:workspaces_workspace_search", args=[form.workspace.pk])
    return HttpResponseRedirect(page)


def _tell_errors(form: SearchSettingsForm) -> ShownTrial:
    words = [
        f"{form.fields[name].label}: {text}" if name in form.fields else f"{text}"
        for name, texts in form.errors.items()
        for text in texts
    ]
    return ShownTrial(False, " ".join(words))


def _try(form: SearchSettingsForm) -> ShownTrial:
    workspace = form.workspace
    try:
        choice = form.find_choice()
        if choice.service == OFF:
            return ShownTrial(True, "Nothing makes vectors: there is nothing to try.")
        auditing.note_act(workspace, "test_embedding", {"service": [None, _name(choice)]})
        began = time.monotonic()
        with calls.held(CALLS_MAX, {str(workspace.pk): CALLS_OF_WORKSPACE}):
            trial = try_embedding(choice)
    except AuthConfig as exc:
        return ShownTrial(False, f"The key cannot be used: {exc}.")
    except NoPlace as full:
        words = f"{full.most} far ends are being called. Try again when one has answered."
        return ShownTrial(False, words)
    return ShownTrial(trial.passed, _describe(trial, time.monotonic() - began))


def _describe(trial: Trial, taken_s: float) -> str:
    if not trial.passed:
        return f"No vector came ({trial.code}): {trial.detail}"
    return f"A vector of {trial.dimensions:,} numbers came in {taken_s:.1f} s, by {trial.model}."


def _name(choice: EmbeddingChoice) -> str:
    if choice.service == OPENAI:
        return f"{choice.model} at {choice.url}"
    return "the built-in model" if choice.service == BUILTIN else "nothing"


def _read_languages(found: Mapping[str, Any]) -> list[str] | None:
    names = [name.strip().lower() for name in str(found.get("languages") or "").split(",")]
    return [name for name in names if name] or None
