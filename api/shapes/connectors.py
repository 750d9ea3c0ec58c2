"""A connector as JSON: the words of the YAML, with a secret that only goes in. A kind has options and secrets of its
own, which come from its Spec."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    StrictBool,
    StrictStr,
    TypeAdapter,
    WithJsonSchema,
    create_model,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from api.shapes.answers import Told
from api.shapes.fields import EXACT
from api.shapes.jobs import BodyShape, Fact, Name
from connectors.models import Connector, ConnectorStatus
from connectors.secrets import secret_fields
from farends.registry import SPECS
from farends.spec import (
    ITEMS_MAX,
    LINES_MAX,
    NUMBER_MAX,
    OptionField,
    Spec,
    group_options,
    option_fields,
)
from syncjobs.order.row_entities import RESOURCES
from syncjobs.queries.syncing import ShownStatus, name_statuses

if TYPE_CHECKING:
    Kind = str
else:
    Kind = Literal[tuple(SPECS)]  # the registry is the list
Host = Annotated[StrictStr, Field(min_length=1, max_length=255, pattern=r"^[^\x00-\x20\x7f/@?#]+$")]


_List: Any = list


def _refuse_nul(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a NUL character, which cannot be stored")
    return text


_LIMIT = NUMBER_MAX
_PORT = Annotated[int, Field(ge=1, le=65_535), EXACT]
_WHOLE = Annotated[int, Field(ge=-_LIMIT, le=_LIMIT), EXACT]
_NUMBER = Annotated[float, Field(strict=True, ge=-_LIMIT, le=_LIMIT)]
# Of an option of a kind. No pattern says that NUL is refused: in the document it would stand 200 times.
_Text = Annotated[StrictStr, Field(max_length=LINES_MAX), AfterValidator(_refuse_nul)]
_LIST = Annotated[list[_Text], Field(max_length=ITEMS_MAX)]
_GROUP = Annotated[dict[str, _Text | StrictBool | _WHOLE | _NUMBER | None], Field(max_length=20)]
OptionValue = _Text | StrictBool | _WHOLE | _NUMBER | _LIST | _GROUP | None
Word = Annotated[StrictStr, Field(min_length=1, max_length=64, pattern=r"^[a-z_][a-z0-9_]*$")]
# Both are taken: {"paths": {"batch": …}}, as it is answered, and `paths.batch`, as the pages and the console name it.
OptionName = Annotated[
    StrictStr,
    Field(min_length=1, max_length=64, pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$"),
]
Secret = Annotated[StrictStr, Field(max_length=LINES_MAX), AfterValidator(_refuse_nul)]
Options = Annotated[
    dict[OptionName, OptionValue],
    Field(max_length=100, description="Of its kind: docs/protocols.md. null takes one away."),
]
Secrets = Annotated[
    dict[Word, Secret | None],
    Field(max_length=20, description="Never shown. null forgets one; for all of it, forgets it."),
]


class ConnectorChange(BodyShape):
    """What is left out stays as it is; so do options and secrets that are not named."""

    name: Name | None = None
    kind: Kind | None = None
    host: Host | None = None
    port: _PORT | None = None
    options: Options | None = None
    secret: Secrets | None = None
    entities: Annotated[
        Any,
        WithJsonSchema({"anyOf": [RESOURCES.schema, {"type": "null"}]}),
        Field(description="Of kind rest alone: its resources by name: docs/rows.md."),
    ] = None
    status: ConnectorStatus | None = None
    auto_sync: Annotated[
        StrictBool | None,
        Field(
            validation_alias=AliasChoices("auto_sync", "autoSync"),
            description="`autoSync` is another name of it.",
        ),
    ] = None
    sync_interval_s: Annotated[
        Annotated[int, Field(ge=1, le=31_536_000), EXACT] | None,
        Field(
            validation_alias=AliasChoices("sync_interval_s", "syncInterval"),
            description="`syncInterval` is another name of it.",
        ),
    ] = None
    max_running: Annotated[int, Field(ge=1, le=32_767), EXACT] | None = None

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it; null is the same as left out where a field needs a value."""
        given: dict[str, Any] = self.model_dump(mode="json", exclude_unset=True, by_alias=False)
        nullable = ("secret", "entities", "max_running")
        return {
            name: value for name, value in given.items() if value is not None or name in nullable
        }


class ConnectorFacts(Told):
    """What an answer tells of a connector of any kind."""

    id: uuid.UUID
    name: str
    host: str
    port: int
    has_secret: bool
    secret_fields: list[str] = Field(description="Names of what is stored; never the values.")
    entities: dict[str, Any] = Field(description="Of kind rest: its resources by name.")
    status: ShownStatus = Field(description="`syncing` while one of its syncs runs.")
    auto_sync: bool
    sync_interval_s: int
    max_running: int | None
    last_sync_at: datetime | None = Field(description="When a sync last succeeded.")
    last_attempt_at: datetime | None = Field(
        description="When a sync last ended, however it ended."
    )
    last_sync_status: str = Field(description="How that attempt ended.")
    last_sync_error: str = Field(description="Of that attempt.")
    last_test_at: datetime | None
    created_at: datetime
    updated_at: datetime


CONNECTOR_FACTS = tuple(set(ConnectorFacts.model_fields) - set(ConnectorChange.model_fields))


def _type_of(field: OptionField) -> Any:
    if field.choices:
        return Literal[field.choices]
    made: Any = Annotated  # for the type checker, which knows no types that are made
    text = made[StrictStr, Field(max_length=int(field.most)), AfterValidator(_refuse_nul)]
    kinds: dict[type, Any] = {
        str: text,
        bool: StrictBool,
        list: made[_List[text], Field(max_length=ITEMS_MAX)],
        int: made[int, Field(ge=field.least, le=field.most), EXACT],
        float: made[float, Field(strict=True, ge=field.least, le=field.most)],
    }
    return kinds[field.type]


def _shape_of(name: str, cls: type, *, secret: bool = False, answered: bool = False) -> Any:
    """Makes the shape of the options or the secret of a kind; a group of options is an object of its own."""
    found = option_fields(cls)
    required = [] if answered else [field.name for field in found if field.required]
    flat: dict[str, Any] = {}
    for field in found:
        words = f"{field.label}. {field.help}"
        default = list(field.default) if isinstance(field.default, tuple) else field.default
        more = {} if secret or field.required or answered else {"default": default}
        kind = _type_of(field)
        flat[field.name] = (kind | None, Field(None, description=words, json_schema_extra=more))
    fields = {}
    for word, told in group_options(flat).items():
        fields[word] = told
        if isinstance(told, dict):
            group = _make(f"{name}{word.title()}", told, [], answered=answered)
            fields[word] = (group | None, None)
    return _make(name, fields, required, answered=answered)


def _make(name: str, fields: Mapping[str, Any], required: list[str], *, answered: bool) -> Any:
    # What is beyond the types is refused by saving, in better words.
    told: dict[str, Any] = {"required": required} if required else {}
    told |= {} if answered else {"additionalProperties": False}
    config = ConfigDict(extra="allow", json_schema_extra=told)
    return create_model(name, __config__=config, __module__=__name__, **fields)


def _new(spec: Spec, title: str, more: Mapping[str, Any]) -> type[BaseModel]:
    """A new connector of a kind."""
    needs = ["options"] if any(field.required for field in option_fields(spec.options)) else []
    fields: dict[str, Any] = {
        "kind": (Literal[spec.kind], ...),
        "port": (_PORT | None, Field(None, description=f"Without: {spec.default_port}.")),
        "options": (_OPTIONS[spec.kind] | None, None),
        "secret": (
            _SECRETS[spec.kind] | None,
            Field(None, description="Never shown. null forgets it."),
        ),
    }
    return create_model(
        title,
        __base__=_NewConnector,
        __module__=__name__,
        __doc__=_words_of(spec),
        __cls_kwargs__={"json_schema_extra": _require(needs)},
        **fields,
        **more,
    )


def _require(names: list[str]) -> Any:
    def add(schema: dict[str, Any]) -> None:
        schema["required"] = [*schema.get("required", []), *names]

    return add


def _answer(spec: Spec) -> type[BaseModel]:
    kind = spec.kind.title()
    options = _shape_of(f"{kind}OptionsOut", spec.options, answered=True)
    fields: dict[str, Any] = {"kind": (Literal[spec.kind], ...), "options": (options, ...)}
    return create_model(
        f"{kind}ConnectorOut",
        __base__=ConnectorFacts,
        __module__=__name__,
        __doc__=_words_of(spec),
        **fields,
    )


def _words_of(spec: Spec) -> str:
    return f"A connector of kind {spec.kind}: {spec.title}."


def _any_of(shapes: list[type[BaseModel]]) -> Any:
    """One of these, as its `kind` says."""
    made: Any = Annotated  # for the type checker, which knows no types that are made
    return made[reduce(or_, shapes), Field(discriminator="kind")]


class _NewConnector(ConnectorChange):
    name: Name
    host: Host

    def written(self) -> dict[str, Any]:
        return {
            name: value for name, value in super().written().items() if name not in CONNECTOR_FACTS
        }


_OPTIONS = {kind: _shape_of(f"{kind.title()}Options", spec.options) for kind, spec in SPECS.items()}
_SECRETS = {
    kind: _shape_of(f"{kind.title()}Secret", spec.secret, secret=True)
    for kind, spec in SPECS.items()
}
_TOLD: dict[str, Any] = {
    **dict.fromkeys(CONNECTOR_FACTS, (Fact, None)),
    # As it was read: `syncing` changes nothing.
    "status": (ShownStatus | None, None),
}
NEW = [_new(spec, f"{kind.title()}ConnectorNew", {}) for kind, spec in SPECS.items()]
REPLACED = [_new(spec, f"{kind.title()}Connector", _TOLD) for kind, spec in SPECS.items()]
_ANSWERS = [_answer(spec) for spec in SPECS.values()]


class ConnectorNew(RootModel[Any]):
    """A connector of one of these kinds."""

    root: _any_of(NEW)  # type: ignore[valid-type]  # it is made from the registry

    def written(self) -> dict[str, Any]:
        """What was given, as the YAML has it."""
        given: dict[str, Any] = self.root.written()
        return given


class ConnectorReplacement(ConnectorNew):
    """A connector of one of these kinds. What else an answer tells is taken too, without effect: a program may send
    what it has read."""

    root: _any_of(REPLACED)  # type: ignore[valid-type]  # it is made from the registry

    def written(self) -> dict[str, Any]:
        """The stored status stays where the one that was read is `syncing`: `status` is then None."""
        given = super().written()
        if given.get("status") == ShownStatus.SYNCING:
            given["status"] = None
        return given


class ConnectorOut(ConnectorFacts):
    """The stored description of one far end."""

    kind: str
    options: dict[str, Any]

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """The document tells kind by kind what is answered as it is stored."""
        kinds: TypeAdapter[Any] = TypeAdapter(_any_of(_ANSWERS))
        return handler(kinds.core_schema)


class ConnectorPage(Told):
    items: list[ConnectorOut]
    next: str | None


_APART = {"has_secret", "secret_fields"}


_SHOWN = [name for name in ConnectorOut.model_fields if name not in _APART]


def tell_connector(connector: Connector) -> dict[str, Any]:
    """Fills `ConnectorOut`."""
    return tell_connectors([connector])[0]


def tell_connectors(connectors: Sequence[Connector]) -> list[dict[str, Any]]:
    """Fills `ConnectorOut` for each, in one query."""
    statuses = name_statuses(connectors)
    return [_tell(connector, statuses[connector.pk]) for connector in connectors]


def _tell(connector: Connector, status: ShownStatus) -> dict[str, Any]:
    return {
        **{name: getattr(connector, name) for name in _SHOWN},
        "status": status,
        "options": group_options(connector.options),
        "has_secret": bool(connector.sealed_secret),
        "secret_fields": secret_fields(connector),
    }
