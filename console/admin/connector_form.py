"""The form of a connector: its fields come from the kind's Spec, and the secret never goes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.text import capfirst
from unfold import widgets

from connectors.models import Connector
from connectors.secrets import seal, unseal
from console.admin.forms import LinesField, ScopedForm, secret_line, secret_text
from console.admin.option_fields import StructureField
from farends.errors import AuthConfig
from farends.registry import SPECS, get_spec
from farends.spec import InvalidOptions, OptionField, Spec, option_fields, parse_options
from syncjobs.configuration.connectors import find_kind_problems
from syncjobs.order.rows import RESOURCES

OPTION = "option_"
ENTITIES = "entities"
SECRET = "secret_"  # noqa: S105 — the prefix of form fields
FORGET = "forget_secret"


class NewConnectorForm(ScopedForm):
    """Step one: where the far end is. Its options follow on the next page."""

    kind = forms.ChoiceField(widget=widgets.UnfoldAdminSelectWidget())
    port = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=65535,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
        help_text="empty: the kind's own",
    )

    class Meta:
        model = Connector
        fields = ["workspace", "name", "kind", "host", "port"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kind = self.fields["kind"]
        assert isinstance(kind, forms.ChoiceField)  # noqa: S101 — for the type checker
        kind.choices = [(name, spec.title) for name, spec in SPECS.items()]

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        if self.cleaned_data.get("port") is None and (kind := self.cleaned_data.get("kind")):
            self.cleaned_data["port"] = get_spec(kind).default_port
        return self.cleaned_data


class ConnectorForm(ScopedForm):
    """Step two, and every change. Made for a connector by `form_for`."""

    spec: Spec

    class Meta:
        model = Connector
        fields = ["name", "host", "port", "status", "auto_sync", "sync_interval_s", "max_running"]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        stored = self.instance.options or {}
        self.endpoint_before = self.instance.endpoint
        for field in option_fields(self.spec.options):
            default = "" if field.default is None else field.default
            self.initial.setdefault(OPTION + field.name, stored.get(field.name, default))

    def clean(self) -> dict[str, Any] | None:
        super().clean()
        options = self._given(OPTION, self.spec.options)
        if self._report(OPTION, self.spec.options, options):
            self.instance.options = options
        # The secret is bound to the endpoint that is being saved, so the new one comes first.
        self.instance.host = self.cleaned_data.get("host") or self.instance.host
        self.instance.port = self.cleaned_data.get("port") or self.instance.port
        self._clean_secret()
        self.instance.auto_sync = bool(self.cleaned_data.get("auto_sync"))
        for (name, *_), words in find_kind_problems(self.instance, self.spec):
            known = name in self.fields
            text = words.removeprefix(f"{name}: ")
            self.add_error(name if known else None, _sentence(name, text, known))
        return self.cleaned_data

    def _clean_secret(self) -> None:
        given = self._given(SECRET, self.spec.secret)
        if self.cleaned_data.get(FORGET):
            if given:
                self.add_error(FORGET, "Either forget the secret or enter a new one.")
                return
            seal(self.instance, {})
            return
        stored = bool(self.instance.sealed_secret)
        moved = self.instance.endpoint != self.endpoint_before
        if stored and moved and not given:
            self.add_error(
                None,
                f"The secret was stored for {self.endpoint_before} and goes nowhere else: enter it"
                f" again for {self.instance.endpoint}, or forget it.",
            )
            return
        if not given:
            return
        kept = {} if moved else self._unsealed()
        secret = {**kept, **given}
        if self._report(SECRET, self.spec.secret, secret):
            seal(self.instance, secret)

    def _unsealed(self) -> dict[str, Any]:
        try:
            return unseal(self.instance)
        except AuthConfig:  # it cannot be read any more: what was entered replaces it
            return {}

    def _given(self, prefix: str, cls: type) -> dict[str, Any]:
        """What was filled in; an empty field means the default, or for a secret what is stored."""
        values: dict[str, Any] = {}
        for field in option_fields(cls):
            value = self.cleaned_data.get(prefix + field.name)
            if isinstance(value, str):
                value = value.replace("\r\n", "\n")  # what a browser makes of a pasted key
            if field.advanced and value == field.default:
                continue
            if value is not None and value not in ("", []):
                values[field.name] = value
            elif field.type is list and field.default:
                values[field.name] = []
        return values

    def _report(self, prefix: str, cls: type, values: dict[str, Any]) -> bool:
        """Puts what is wrong beside its fields; True where nothing is."""
        try:
            parse_options(cls, values)
        except InvalidOptions as exc:
            for name, text in exc.problems.items():
                known = prefix + name in self.fields
                if prefix + name not in self.errors:
                    self.add_error(prefix + name if known else None, _sentence(name, text, known))
            return False
        except ValueError as exc:
            self.add_error(None, str(exc))
            return False
        return True


def form_for(connector: Connector) -> type[ConnectorForm]:
    """Raises UnknownKind."""
    spec = get_spec(connector.kind)
    held = _held(connector)
    fields: dict[str, Any] = {"spec": spec}
    for field in option_fields(spec.options):
        fields[OPTION + field.name] = _option_field(field)
    for field in option_fields(spec.secret):
        fields[SECRET + field.name] = _secret_field(field, held)
    if spec.has_entities:
        fields[ENTITIES] = StructureField(
            _read_entities,
            {},
            required=False,
            label="Entities",
            help_text="The resources of the API by name, as JSON: docs/rows.md.",
        )
    if connector.sealed_secret:
        fields[FORGET] = forms.BooleanField(
            label="Forget the stored secret",
            required=False,
            widget=widgets.UnfoldBooleanSwitchWidget(),
        )
    return type("ConnectorForm", (ConnectorForm,), fields)


def _read_entities(given: Any) -> Any:
    """Raises Misfit."""
    RESOURCES.check(given)
    return given


def option_names(connector: Connector) -> list[str]:
    spec = get_spec(connector.kind)
    names = _names(OPTION, spec.options, advanced=False)
    return [*names, ENTITIES] if spec.has_entities else names


def secret_names(connector: Connector) -> list[str]:
    names = _names(SECRET, get_spec(connector.kind).secret, advanced=False)
    return [*names, FORGET] if connector.sealed_secret else names


def advanced_names(connector: Connector) -> list[str]:
    """Options, then secrets, that few connectors need."""
    spec = get_spec(connector.kind)
    secrets = _names(SECRET, spec.secret, advanced=True)
    return [*_names(OPTION, spec.options, advanced=True), *secrets]


def _names(prefix: str, cls: type, *, advanced: bool) -> list[str]:
    return [prefix + field.name for field in option_fields(cls) if field.advanced is advanced]


def _held(connector: Connector) -> dict[str, Any] | None:
    """Names of what is stored, None where it cannot be read; the values go no further."""
    try:
        return dict.fromkeys(unseal(connector))
    except AuthConfig:
        return None


def _option_field(field: OptionField) -> forms.Field:
    help_text = capfirst(field.help)
    kwargs: dict[str, Any] = {"label": field.label, "help_text": help_text, "required": False}
    if field.choices:
        return forms.ChoiceField(
            choices=[(choice, choice) for choice in field.choices],
            widget=widgets.UnfoldAdminSelectWidget(),
            **kwargs,
        )
    if field.type is bool:
        return forms.BooleanField(widget=widgets.UnfoldBooleanSwitchWidget(), **kwargs)
    if field.type is int:
        return forms.IntegerField(widget=widgets.UnfoldAdminIntegerFieldWidget(), **kwargs)
    if field.type is float:
        return forms.FloatField(widget=widgets.UnfoldAdminDecimalFieldWidget(), **kwargs)
    if field.type is list:
        return LinesField(**{**kwargs, "help_text": f"{help_text} One on each line.".strip()})
    return forms.CharField(widget=widgets.UnfoldAdminTextInputWidget(), **kwargs)


def _secret_field(field: OptionField, held: dict[str, Any] | None) -> forms.Field:
    if held is None:
        standing = "Stored, but it does not open any more: enter it again."
    elif field.name in held:
        standing = "Stored. Leave empty to keep it."
    else:
        standing = "Not stored."
    return forms.CharField(
        label=field.label,
        help_text=f"{standing} {capfirst(field.help)}".strip(),
        required=False,
        strip=False,
        widget=secret_text() if field.has_lines else secret_line(),
    )


def _sentence(name: str, text: str, known: bool) -> str:
    return f"{capfirst(text)}." if known else f"{name}: {text}."
