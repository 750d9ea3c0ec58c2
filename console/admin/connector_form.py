"""The form of a connector: its fields come from the kind's Spec, and the secret never goes out."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold import widgets

from connectors.models import Connector
from connectors.pasted import PastedAddress, choose_options, find_host_fault, find_pasted_address
from connectors.secrets import seal, unseal
from console.admin.forms import LinesField, ScopedForm, secret_line, secret_text
from console.admin.option_fields import StructureField
from farends.errors import AuthConfig
from farends.registry import SPECS, get_spec
from farends.spec import (
    InvalidOptions,
    OptionField,
    Spec,
    find_pasting_faults,
    option_fields,
    parse_options,
)
from syncjobs.configuration.connectors import find_kind_problems
from syncjobs.order.row_entities import RESOURCES

OPTION = "option_"
ENTITIES = "entities"
SECRET = "secret_"  # noqa: S105 — the prefix of form fields
FORGET = "forget_secret"
SPLIT = "_split_host"
PASTED = (
    "root",
    "database",
    "path",
    "username",
)  # options that may come with a pasted address


class HostForm(ScopedForm):
    """Catches what people paste into the field of the host, and offers to put its parts where they belong: the button
    sends the form once more, with `SPLIT`."""

    def clean_host(self) -> str:
        host: str = self.cleaned_data["host"]
        address = find_pasted_address(host, SPECS)
        if address is not None:
            raise forms.ValidationError(self._offer(address))
        if fault := find_host_fault(host):
            raise forms.ValidationError(fault)
        return host

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        words = "A port is a number from 1 to 65535."
        told = dict.fromkeys(("min_value", "max_value", "invalid"), words)
        self.fields["port"].error_messages |= told

    def find_kind(self) -> str:
        """The kind that is being saved."""
        return str(self.instance.kind or self.data.get("kind", ""))

    def _offer(self, address: PastedAddress) -> SafeString:
        taken = self.find_kind()
        if self.instance.kind and address.kind not in (None, taken):
            return format_html(
                "This is an address of kind {}, and this connector is of kind {}: add another connector for it.",
                SPECS[str(address.kind)].title,
                SPECS[taken].title,
            )
        parts = [("host", address.host), ("port", address.port), ("folder", address.folder)]
        if address.kind not in (None, taken):
            parts.append(("kind", SPECS[str(address.kind)].title))
        parts.append(("user", address.username))
        told = "; ".join(f"{name} {value}" for name, value in parts if value)
        password = (
            " The password in it is not taken over: enter it below." if address.has_password else ""
        )
        return format_html(
            'This is an address, not a host. Its parts: {}.{} <button type="submit" class="sp-button" name="{}"'
            ' value="host">Use these parts</button>',
            *(told, password, SPLIT),
        )


def split_host(given: QueryDict, kind: str | None) -> QueryDict:
    """The form as it was sent, with the parts of the pasted address in their fields. `kind`: it cannot be changed."""
    address = find_pasted_address(given.get("host", ""), SPECS)
    if address is None:
        return given
    split = given.copy()
    chosen = kind or address.kind or given.get("kind", "")
    split["host"] = address.host
    if not kind:
        split["kind"] = chosen
    if address.port:
        split["port"] = str(address.port)
    elif not kind and chosen != given.get("kind"):
        split["port"] = ""  # the usual one of another kind
    if chosen in SPECS:
        for name, value in choose_options(address, SPECS[chosen]).items():
            split[OPTION + name] = value
    return split


def _pasted() -> forms.CharField:
    return forms.CharField(required=False, widget=forms.HiddenInput())


class NewConnectorForm(HostForm):
    """Step one: where the far end is. Its options follow on the next page, and those that came with a pasted address are
    kept until then."""

    kind = forms.ChoiceField(widget=widgets.UnfoldAdminSelectWidget())
    port = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=65_535,
        widget=widgets.UnfoldAdminIntegerFieldWidget(),
        help_text="empty: the kind's own",
    )
    option_root, option_database = _pasted(), _pasted()
    option_path, option_username = _pasted(), _pasted()

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
        if kind := self.cleaned_data.get("kind"):
            spec = get_spec(kind)
            if self.cleaned_data.get("port") is None:
                self.cleaned_data["port"] = spec.default_port
            known = {field.name for field in option_fields(spec.options)}
            pasted = {
                name: self.cleaned_data.get(OPTION + name) for name in PASTED if name in known
            }
            self.instance.options = {name: value for name, value in pasted.items() if value}
        return self.cleaned_data


class ConnectorForm(HostForm):
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
        faults = find_pasting_faults(self.spec.secret, given, secret)
        for name, text in faults.items():
            self.add_error(SECRET + name, _sentence(name, text, True))
        if self._report(SECRET, self.spec.secret, secret) and not faults:
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
    area = widgets.UnfoldAdminTextareaWidget({"rows": 6})
    line = widgets.UnfoldAdminTextInputWidget()
    return forms.CharField(widget=area if field.has_lines else line, **kwargs)


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
