"""What each kind of rule takes: its parameters with their bounds and defaults, and the scopes that it can have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from alerts.core.words import RuleKind

_YEAR_S = 31_536_000


class RuleScope(StrEnum):
    """What a rule can be limited to. Without one it looks at the whole workspace."""

    JOB = "job"
    CONNECTOR = "connector"
    STREAM = "stream"
    TAG = "tag"  # the jobs that have it


@dataclass(frozen=True, slots=True)
class RuleParameter:
    """A number that a rule compares with."""

    name: str
    about: str
    least: int
    most: int
    is_whole: bool = True


PARAMETERS: dict[str, RuleParameter] = {
    one.name: one
    for one in (
        RuleParameter("count", "So many, before the alert opens.", 1, 1_000_000),
        RuleParameter("factor", "So many times the expected duration.", 1, 1000, is_whole=False),
        RuleParameter("after_s", "So many seconds, before the alert opens.", 1, _YEAR_S),
        RuleParameter("percent", "So many of 100 records failed.", 1, 100, is_whole=False),
        RuleParameter("window_s", "Of the records of the last so many seconds.", 10, 2_592_000),
        RuleParameter("free_percent", "Less than so many of 100 bytes are free.", 1, 100, is_whole=False),
    )
}  # fmt: skip

_JOBS = (RuleScope.JOB, RuleScope.CONNECTOR, RuleScope.TAG)


@dataclass(frozen=True, slots=True)
class RuleForm:
    """What rules of one kind take. `defaults` has each of their parameters; `needed` are those without a default."""

    scopes: tuple[RuleScope, ...]
    defaults: Mapping[str, int | None]
    needed: tuple[str, ...] = ()


FORMS: dict[RuleKind, RuleForm] = {
    RuleKind.FAILURE: RuleForm(_JOBS, {}),
    RuleKind.FAILURES_IN_A_ROW: RuleForm(_JOBS, {"count": None}, needed=("count",)),
    RuleKind.HELD: RuleForm(_JOBS, {}),
    RuleKind.SUSPECT: RuleForm(_JOBS, {}),
    RuleKind.OVERDUE: RuleForm(_JOBS, {"factor": 3}),
    RuleKind.NOTHING_RAN: RuleForm(_JOBS, {"after_s": None}),  # None: twice the job's interval
    RuleKind.ERROR_RATE: RuleForm(
        _JOBS, {"percent": None, "window_s": None}, needed=("percent", "window_s")
    ),
    RuleKind.OFFLINE: RuleForm((RuleScope.CONNECTOR,), {"after_s": 300}),
    RuleKind.DEAD_LETTERS: RuleForm((RuleScope.STREAM,), {"count": 1}),
    RuleKind.INDEX_BEHIND: RuleForm(_JOBS, {"after_s": 900}),
    RuleKind.DISK: RuleForm((), {"free_percent": 10}),
}


class InvalidParameters(Exception):
    """The parameters do not fit the kind. `errors` are words by parameter."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__("; ".join(f"{name}: {' '.join(words)}" for name, words in errors.items()))
        self.errors = dict(errors)


def read_parameters(
    kind: RuleKind, given: Mapping[str, Any], kept: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns all parameters of the kind: what is given, else what is kept, else the default; None stands for the default.
    Raises InvalidParameters."""
    form = FORMS[kind]
    errors: dict[str, list[str]] = {}
    read = {}
    for name, default in form.defaults.items():
        try:
            value = _read_number(PARAMETERS[name], given.get(name))
        except ValueError as exc:
            errors[name] = [str(exc)]
            continue
        if name not in given and kept is not None:
            value = kept.get(name)
        read[name] = default if value is None else value
        if read[name] is None and name in form.needed:
            errors[name] = [f"a rule of kind {kind} needs it"]
    for name, value in given.items():
        if value is not None and name not in form.defaults:
            errors[name] = [_tell_stranger(kind, form)]
    if errors:
        raise InvalidParameters(errors)
    return read


def _tell_stranger(kind: RuleKind, form: RuleForm) -> str:
    has = " and ".join(form.defaults) if form.defaults else "none"
    return f"a rule of kind {kind} does not have this parameter; it has {has}"


def _read_number(parameter: RuleParameter, value: Any) -> int | float | None:
    """Also of text, as a file has it from the environment. Raises ValueError."""
    if value is None:
        return None
    noun = "a whole number" if parameter.is_whole else "a number"
    words = f"give {noun} from {parameter.least} to {parameter.most}"
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(words)  # noqa: TRY004 — one kind of problem
    try:
        number = float(value)
    except (ValueError, OverflowError):
        raise ValueError(words) from None
    if not parameter.least <= number <= parameter.most:  # NaN lies nowhere
        raise ValueError(words)
    if number.is_integer():
        return int(number)
    if parameter.is_whole:
        raise ValueError(words)
    return number
