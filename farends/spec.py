"""How a kind of connector describes itself: one `Spec`, from which form, schema and docs are made."""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from farends.contract import Context, Remover, Transport
from farends.errors import AuthConfig, ConnectionStage
from farends.rows.contract import RowSource
from farends.stages import FILE_STAGES, StageResult
from farends.watched import WatchedConnection

T = TypeVar("T")
CHARACTERS_MAX = 1_000  # of a text, where its option says no other number
LINES_MAX = 262_144  # of a text of several lines: what systems trust is a file of 220 KB
ITEMS_MAX = 10_000  # of a list
NUMBER_MAX = 1_000_000_000_000_000


def option(
    label: str,
    help: str = "",  # noqa: A002 — the word people know
    *,
    default: Any = dataclasses.MISSING,
    advanced: bool = False,
    late: bool = False,
    check: Callable[[Any], object] | None = None,
    pins: str = "",
    goes_with: str = "",
    has_lines: bool = False,
    key: str = "",
    needed_with: str = "",
    proofread: Callable[[str, str], str] | None = None,
    opened_by: str = "",
    least: float | None = None,
    most: float | None = None,
) -> Any:
    """A field of an options or secret dataclass; without a default it is required.

    `advanced`: few need it, so surfaces show it last. `late`: several kinds share it, so it is shown
    after what is a kind's own. `check` raises ValueError with words that follow the field's name. `least` and `most`
    bound a number; `most` is of a text, or of each text of a list, how many characters it may have.

    What the frame has to know of a field it asks the field for, and never goes by names: `pins` says
    whose key the field pins, such as "host"; `goes_with` is the field that holds the user name which a
    password is sent with; `has_lines`: the text has several lines;
    `key` is the name that people write, where it is no name in Python; `needed_with` is the option that, where
    it is true, makes this one required; `proofread` says what is wrong with a text that a person has just pasted, and
    is given what the field `opened_by` holds beside it.
    """
    told = {
        "label": label,
        "help": help,
        "advanced": advanced,
        "late": late,
        "check": check,
        "pins": pins,
        "goes_with": goes_with,
        "has_lines": has_lines,
        "key": key,
        "needed_with": needed_with,
        "proofread": proofread,
        "opened_by": opened_by,
        "least": least,
        "most": most,
    }
    return dataclasses.field(default=default, metadata=told)


class FarEndOptions(Protocol):
    """What the frame asks of the options of any kind. `farends.reaching.Reach` answers it all but `root`."""

    @property
    def root(self) -> str:
        """The folder that is walked, as the kind writes it."""
        ...

    @property
    def lists_whole(self) -> bool:
        """Whether there is one listing of all files, and a folder has none of its own."""
        ...

    @property
    def nothing_listed(self) -> str:
        """What a listing without any entry means, in words."""
        ...

    def detour(self) -> tuple[Waypoint, ...]:
        """Who stands between here and the far end, the nearest first. They may see what is not encrypted,
        or pose as the far end to who has no pin: a secret is bound to them."""
        ...

    def jump(self) -> Waypoint | None:
        """The last of them that is logged in to, and connects to the far end from there."""
        ...


@dataclass(frozen=True, slots=True)
class Waypoint:
    """A host on the way. `url` is what a person wrote, in lower case; host and port are None where that
    is no URL, and nothing will be dialled then."""

    url: str
    host: str | None
    port: int | None


@dataclass(frozen=True, slots=True)
class Target:
    """One far end: where it is, how to speak to it, and the secret for it."""

    host: str
    port: int
    options: (
        Any  # an instance of the spec's options class: FarEndOptions, and what is the kind's own
    )
    secret: Any  # an instance of the spec's secret class
    entities: Mapping[str, Any] = dataclasses.field(default_factory=dict)  # of kind rest, by name

    def log_ins(self) -> Iterator[tuple[str, str]]:
        """Each user name with the password that is sent with it."""
        for field in option_fields(type(self.secret)):
            password = str(getattr(self.secret, field.attribute))
            if field.goes_with and password:
                owner = self.secret if hasattr(self.secret, field.goes_with) else self.options
                yield str(getattr(owner, field.goes_with)), password


Examine = Callable[[Target, Context], Iterator[StageResult]]


def _open_nothing(_target: Target, _context: Context) -> Transport:
    raise AuthConfig("a connector of this kind holds no files")


FILES = "files"  # a far end that holds a tree of files
PUSH = "push"  # a far end that takes readings
ROWS = "rows"  # a far end that offers tables, or what can be read as one


@dataclass(frozen=True, slots=True)
class Spec:
    """A kind of connector. `open` connects and logs in; it raises TransportError's children.

    `far_end` says what is there to sync; the kind of work that a job does is chosen by it.

    `greet` is for a kind whose `open` does not log in: for the connection test it asks the host one
    question, says what the host answered, and raises AuthRefused where the host refuses the log-in.

    `reach` shows without a log-in that the far end is there, and raises where it is not; None: whoever
    dials its host and port has seen enough.

    `stages` are those of its connection test. `examine` is the test of a kind without files. It is called when the
    host was found and dialled, and yields a result for each of its stages from the log-in on, in order. It may
    end early, or raise TransportError, which fails the stage that it had come to: what follows was not reached.
    None: the test lists `open`'s files and reads one.

    `port_for` tells the usual port by options as they are stored, where it depends on them. `schemas_for` tells
    which schemas of the far end jobs may fill, and `database_for` of which database, likewise.

    `has_entities`: connectors of the kind have a field `entities`, which describes what there is by name.
    """

    kind: str
    title: str
    default_port: int
    options: type[FarEndOptions]
    secret: type
    open: Callable[[Target, Context], Transport] = _open_nothing
    open_rows: Callable[[Target, Context], RowSource] | None = None  # None: there are no rows
    open_remover: Callable[[Target, Context], Remover] | None = None  # None: this kind only reads
    # A PostgreSQL session, for who fills tables there; None: no tables can be filled.
    open_database: Callable[[Target, Context], WatchedConnection] | None = None
    far_end: str = FILES
    greet: Callable[[Target, Context], str] | None = None
    reach: Callable[[Target, Context], None] | None = None
    examine: Examine | None = None
    stages: tuple[ConnectionStage, ...] = FILE_STAGES
    port_for: Callable[[Mapping[str, Any]], int] | None = None
    schemas_for: Callable[[Mapping[str, Any]], tuple[str, ...]] | None = None
    database_for: Callable[[Mapping[str, Any]], str] | None = None
    has_entities: bool = False

    def usual_port(self, stored: Mapping[str, Any]) -> int:
        """The port where nobody names one, by options as they are stored."""
        return self.default_port if self.port_for is None else self.port_for(stored)

    def writable_schemas(self, stored: Mapping[str, Any]) -> tuple[str, ...]:
        """Which schemas of the far end jobs may fill; none: it may not be a destination."""
        return () if self.schemas_for is None else self.schemas_for(stored)

    def detour(self, stored: Mapping[str, Any]) -> tuple[Waypoint, ...]:
        """Who stands on the way, by options as they are stored."""
        return read_stored(self.options, stored).detour()

    def pins(self) -> dict[str, str]:
        """The options that pin a key, by name, with whose key it is."""
        return {field.name: field.pins for field in option_fields(self.options) if field.pins}


@dataclass(frozen=True, slots=True)
class OptionField:
    """One option as a surface needs it. `type` is str, int, float, bool or list. `least` and `most` bound a number;
    `most` is also how many characters a text, or each text of a list, may have."""

    name: str
    label: str
    help: str
    type: type
    required: bool
    default: Any
    choices: tuple[str, ...] = ()
    advanced: bool = False
    late: bool = False
    check: Callable[[Any], object] | None = None
    pins: str = ""
    goes_with: str = ""
    has_lines: bool = False
    needed_with: str = ""
    proofread: Callable[[str, str], str] | None = None
    opened_by: str = ""
    attribute: str = ""  # of the options class
    least: float = -NUMBER_MAX
    most: float = NUMBER_MAX


class InvalidOptions(ValueError):
    """Options that a kind does not take; `problems` maps a field's name to what is wrong with it."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(f"{name}: {text}" for name, text in problems.items()))
        self.problems = dict(problems)


def option_fields(cls: type) -> tuple[OptionField, ...]:
    """Returns the fields in the order of the class; then what several kinds share, and the advanced ones last."""
    return _fields_of(cls)


@functools.cache
def _fields_of(cls: Any) -> tuple[OptionField, ...]:
    hints = typing.get_type_hints(cls)
    fields = []
    for field in dataclasses.fields(cls):
        kind, choices = _plain_type(hints[field.name])
        required = field.default is dataclasses.MISSING
        fields.append(
            OptionField(
                name=str(field.metadata.get("key") or field.name),
                attribute=field.name,
                label=str(field.metadata.get("label", field.name)),
                help=str(field.metadata.get("help", "")),
                type=kind,
                required=required,
                default=None if required else field.default,
                choices=choices,
                advanced=bool(field.metadata.get("advanced", False)),
                late=bool(field.metadata.get("late", False)),
                check=field.metadata.get("check"),
                pins=str(field.metadata.get("pins", "")),
                goes_with=str(field.metadata.get("goes_with", "")),
                has_lines=bool(field.metadata.get("has_lines", False)),
                needed_with=str(field.metadata.get("needed_with", "")),
                proofread=field.metadata.get("proofread"),
                opened_by=str(field.metadata.get("opened_by", "")),
                **_bounds_of(cls, kind, field.metadata),
            )
        )
    return tuple(sorted(fields, key=lambda field: (field.advanced, field.late)))


def _bounds_of(cls: type, kind: type, about: Mapping[str, Any]) -> dict[str, float]:
    """A class of options may say by `characters_max` how long its texts are."""
    least, most = about.get("least"), about.get("most")
    usual = NUMBER_MAX
    if kind in (str, list):
        of_class = getattr(cls, "characters_max", CHARACTERS_MAX)
        usual = LINES_MAX if about.get("has_lines") else of_class
    return {
        "least": -NUMBER_MAX if least is None else least,
        "most": usual if most is None else most,
    }


def flat_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """Options of a group may come as an object of their own: `{"paths": {"batch": …}}` is `paths.batch`."""
    flat: dict[str, Any] = {}
    for name, value in given.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{inner}": one for inner, one in value.items()}
        else:
            flat[name] = value
    return flat


def group_options(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The other way round, in the order of the names."""
    grouped: dict[str, Any] = {}
    for name, value in flat.items():
        group, dot, inner = name.partition(".")
        if dot:
            grouped.setdefault(group, {})[inner] = value
        else:
            grouped[name] = value
    return grouped


def parse_options(cls: type, given: Mapping[str, Any]) -> Any:
    """An instance of the dataclass. Raises InvalidOptions that names every wrong field at once."""
    known = {field.name: field for field in option_fields(cls)}
    problems: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name, value in flat_options(given).items():
        if name not in known:
            problems[name] = _refuse_name(cls, name, known)
            continue
        try:
            values[name] = _convert(known[name], value)
            _check_bounds(known[name], values[name])
            if (check := known[name].check) is not None:
                check(values[name])
        except ValueError as exc:
            problems[name] = str(exc)
    for name, field in known.items():
        if field.required and name not in values and name not in problems:
            problems[name] = "is required"
        if values.get(field.needed_with) and not values.get(name) and name not in problems:
            problems[name] = f"is required where {field.needed_with} is true"
    if problems:
        raise InvalidOptions(problems)
    return cls(**{known[name].attribute: value for name, value in values.items()})


def find_pasting_faults(
    cls: type, given: Mapping[str, Any], whole: Mapping[str, Any]
) -> dict[str, str]:
    """What is wrong with texts that a person has just given, by field; `whole` has what stays beside them."""
    faults: dict[str, str] = {}
    for field in option_fields(cls):
        if field.proofread is not None and (text := given.get(field.name)):
            fault = field.proofread(str(text), str(whole.get(field.opened_by) or ""))
            if fault:
                faults[field.name] = fault
    return faults


def _check_bounds(field: OptionField, value: Any) -> None:
    """Raises ValueError. What is no number is outside its bounds too."""
    if field.type in (int, float):
        if not value >= field.least:
            raise ValueError(f"must be {_show_number(field.least)} or more")
        if not value <= field.most:
            raise ValueError(f"must be {_show_number(field.most)} or less")
    elif field.type is list:
        if len(value) > ITEMS_MAX:
            raise ValueError(f"has over {ITEMS_MAX} items")
        for text in value:
            _check_text(text, field.most)
    elif field.type is str:
        _check_text(value, field.most)


def _check_text(text: str, most: float) -> None:
    if "\0" in text:
        raise ValueError("holds a NUL character, which cannot be stored")
    if len(text) > most:
        raise ValueError(f"has over {_show_number(most)} characters")


def _show_number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


def _refuse_name(cls: type, name: str, known: Mapping[str, OptionField]) -> str:
    never: Mapping[str, str] = getattr(cls, "never", {})  # secrets have none
    if (reason := never.get(name.partition(".")[0])) is not None:
        return f"no such option: {reason}"
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"no such option; did you mean {near[0]}?"
    return f"no such option; there are {', '.join(known) or 'none'}"


def read_stored(cls: type[T], stored: Mapping[str, Any]) -> T:
    """Options as they are stored, unchecked: a value that is missing or of a wrong type is the default.
    For who asks something of a connector and does not connect."""
    values: dict[str, Any] = {}
    for field in option_fields(cls):
        values[field.attribute] = field.type() if field.required else field.default
        if field.name in stored:
            with contextlib.suppress(ValueError):
                values[field.attribute] = _convert(field, stored[field.name])
    return cls(**values)


def _plain_type(hint: Any) -> tuple[type, tuple[str, ...]]:
    origin = typing.get_origin(hint)
    if origin is typing.Literal:
        return str, tuple(str(choice) for choice in typing.get_args(hint))
    if origin in (typing.Union, types.UnionType):
        inner = [arg for arg in typing.get_args(hint) if arg is not type(None)]
        return _plain_type(inner[0])
    if origin is tuple:
        return list, ()
    return hint, ()


def _convert(field: OptionField, value: Any) -> Any:
    if value is None:
        if field.required:
            raise ValueError("is required")
        return field.default
    if field.type is list:
        if not isinstance(value, list | tuple):
            raise ValueError("must be a list")
        return tuple(str(item) for item in value)
    if field.type is bool:
        if not isinstance(value, bool):
            raise ValueError("must be true or false")
        return value
    if isinstance(value, bool | list | dict):
        raise ValueError(f"must be {_WORDS[field.type]}")  # noqa: TRY004 — one kind of problem
    try:
        converted = field.type(value)
    except (TypeError, ValueError):
        raise ValueError(f"must be {_WORDS[field.type]}") from None
    if field.choices and converted not in field.choices:
        raise ValueError(f"must be one of {', '.join(field.choices)}")
    return converted


_WORDS = {str: "text", int: "a whole number", float: "a number"}
