"""`completion/complete`: names of datasets, paths and numbers of versions, for the templates of resources."""

from __future__ import annotations

from typing import Any

from api.mcp.call import Call, Result
from api.mcp.errors import invalid_params
from api.mcp.resources.finding import file_datasets
from api.mcp.resources.listing import TEMPLATES
from datasets.models import Dataset
from datasets.reading import NoSuchVersion, get_version, one_moment, page_of_entries
from workspaces.lookup import filter_by_beginning, find_row

MOST = 100
VALUE_MAX = 4_096
# A path as `{+path}` takes it: expansion leaves these as they are, and in a URI they would mean something else.
_ENCODED = str.maketrans({"%": "%25", "?": "%3F", "#": "%23"})


def complete(call: Call) -> Result:
    """Raises RpcError."""
    params = call.message.params
    template = _read_template(params.get("ref"))
    argument, context = params.get("argument"), params.get("context", {})
    if not isinstance(argument, dict) or not isinstance(context, dict):
        raise invalid_params("`argument` and `context` must be objects")
    name, value = argument.get("name"), argument.get("value")
    if not isinstance(name, str) or f"{{{name}}}" not in template.replace("{+", "{"):
        raise invalid_params("`argument.name` must be a variable of the template")
    if not isinstance(value, str) or len(value) > VALUE_MAX:
        raise invalid_params(f"`argument.value` must be a text of up to {VALUE_MAX} characters")
    given = context.get("arguments") or {}
    if not isinstance(given, dict):
        raise invalid_params("`context.arguments` must be an object")
    found = _find(call, name, value, given)
    told: dict[str, Any] = {"values": found[:MOST], "hasMore": len(found) > MOST}
    if len(found) <= MOST:
        told["total"] = len(found)
    return Result({"completion": told})


def _read_template(ref: Any) -> str:
    uri = ref.get("uri") if isinstance(ref, dict) and ref.get("type") == "ref/resource" else None
    if uri not in TEMPLATES.values():
        raise invalid_params("`ref` must be of type ref/resource, with the uri of a template")
    return str(uri)


def _find(call: Call, name: str, value: str, given: dict[str, Any]) -> list[str]:
    """One more than are told, where there are more."""
    if "\0" in value:
        return []
    rows = file_datasets(call.caller.workspace)
    if name == "dataset":
        found = filter_by_beginning(rows, call.caller.workspace, value)
        names = found.filter(versions__is_current=True).order_by("name")
        return list(names.values_list("name", flat=True)[: MOST + 1])
    called = given.get("dataset")
    dataset = find_row(rows, call.caller.workspace, called) if isinstance(called, str) else None
    if dataset is None:
        return []
    return _numbers(dataset, value) if name == "number" else _paths(dataset, value, given)


def _numbers(dataset: Dataset, value: str) -> list[str]:
    """The newest first."""
    numbers = dataset.versions.order_by("-number").values_list("number", flat=True)
    found = (str(number) for number in numbers.iterator(chunk_size=1_000))
    return [number for number in found if number.startswith(value)][: MOST + 1]


def _paths(dataset: Dataset, value: str, given: dict[str, Any]) -> list[str]:
    number = given.get("number")
    for told, plain in (("%3F", "?"), ("%23", "#"), ("%25", "%")):  # as it was completed before
        value = value.replace(told, plain)
    with one_moment():
        try:
            version = get_version(dataset, _read_number(number))
        except NoSuchVersion:
            return []
        entries = page_of_entries(version, prefix=value, limit=MOST + 1)
    return [entry.path.translate(_ENCODED) for entry in entries]


def _read_number(number: Any) -> int | None:
    """None: the current version. What is no number is that of no version."""
    if number is None or number == "":
        return None
    text = str(number)
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else 0
