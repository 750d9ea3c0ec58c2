"""A job option is declared once; what surfaces tell of it is made from that."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.contrib import admin
from django.db import connection
from django.test import RequestFactory

from api.shapes.jobs import FileJobOut, JobChange, JobNew, JobReplacement, RowJobOut
from connectors.models import Connector
from console.admin.schedule_fields import KIND
from console.admin.sync_job_form import SyncJobForm
from syncjobs.models import SyncJob
from syncjobs.order.describing import describe_all
from syncjobs.order.files import FileOrder
from syncjobs.order.job import IDENTITY, OPTIONS, JobOrder, belongs_to
from syncjobs.order.option import Form, build, job_option, options_of
from syncjobs.order.writing import read_order, write_order
from timing.misfires import Misfire
from workspaces.models import Workspace

ROOT = Path(__file__).parents[2]
PRODUCT = ("api", "cli", "console", "embedded", "syncjobs", "syncproject", "tasks")
OWN = [name for name in OPTIONS if name not in IDENTITY]


def properties(shape: Any, within: str) -> dict[str, Any]:
    """Of a shape of the API, or of the mapping in it that options stand in."""
    schema = shape.model_json_schema()
    if not within:
        found: dict[str, Any] = schema["properties"]
        return found
    told = schema["properties"][within]
    reference = told.get("$ref") or told["anyOf"][0]["$ref"]
    below: dict[str, Any] = schema["$defs"][reference.rpartition("/")[2]]["properties"]
    return below


@pytest.mark.parametrize("name", OPTIONS)
def test_each_option_is_in_yaml_rest_form_and_docs(name: str) -> None:
    told = OPTIONS[name]
    assert told.about.label != name
    assert told.about.help
    written = write_order(build(JobOrder, SyncJob(connector=make_connector())))
    assert name in (written[told.about.within] if told.about.within else written)
    answers = {"files": FileJobOut, "rows": RowJobOut}
    told_by = [shape for work, shape in answers.items() if belongs_to(name, work)]
    for shape in (JobChange, JobNew, JobReplacement, *told_by):
        assert told.about.help in properties(shape, told.about.within)[name]["description"]
    fields = [*SyncJobForm.base_fields, *SyncJobForm.Meta.fields]
    assert name in fields or (told.form is Form.SCHEDULE and set(KIND) <= set(fields))
    place = f"{told.about.within}.{name}" if told.about.within else name
    assert f"| `{place}` | **{told.about.label}.** {told.about.help}" in page()


@pytest.mark.parametrize("name", OWN)
def test_each_option_has_a_column_that_takes_what_it_takes(name: str) -> None:
    told, column = OPTIONS[name], SyncJob._meta.get_field(name)
    assert column.null == told.nullable
    if not told.about.settings:
        default = told.default
        assert getattr(SyncJob(), name) == (list(default) if default == () else default)
    if told.choices:
        assert [value for value, _ in column.flatchoices] == [each.value for each in told.choices]  # type: ignore[union-attr]  # a column of choices has them
    if told.form is Form.WHOLE and told.about.most is not None:
        _, most = connection.ops.integer_field_range(column.get_internal_type())
        assert most is not None
        assert told.about.most <= most


def test_each_editable_column_is_an_option() -> None:
    columns = {
        column.name
        for column in SyncJob._meta.concrete_fields
        if column.editable and not column.is_relation
    }
    assert columns == {*OWN, "name"}


def test_the_form_shows_each_option_under_its_heading(rf: RequestFactory) -> None:
    request = rf.get("/")
    shown = admin.site._registry[SyncJob].get_fieldsets(request)
    for name in OWN:
        if OPTIONS[name].form is not Form.SCHEDULE:
            (heading,) = [group for group, fieldset in shown if name in fieldset["fields"]]
            about = OPTIONS[name].about
            wanted = (
                "Advanced: limits, retries, windows, comparison" if about.advanced else about.group
            )
            assert (heading or "") == wanted


def page() -> str:
    return (ROOT / "docs" / "job_options.md").read_text()


def test_the_page_of_job_options_is_made_from_their_definition() -> None:
    assert page() == describe_all(), "python -m syncjobs.order.describing > docs/job_options.md"


def listed_names(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """The texts of each literal list, tuple, set and mapping, with its line."""
    for node in ast.walk(tree):
        items: list[Any] = []
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            items = node.elts
        elif isinstance(node, ast.Dict):
            items = [key for key in node.keys if key is not None]
        names = {each.value for each in items if isinstance(each, ast.Constant)}
        yield getattr(node, "lineno", 0), {name for name in names if isinstance(name, str)}


def declared_names(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """The names that each class gives a type or a value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield (
                node.lineno,
                {
                    each.target.id
                    for each in node.body
                    if isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name)
                },
            )


# A workspace has windows and blackouts of its own, and many things have a name and a connector. What a source
# offers, and what a table is, are told in the words of a job of rows.
SHARED = {"windows", "blackouts", "name", "connector", "enabled", "schedule"}
SHARED |= {"entity", "entities", "columns", "key", "cursor", "destination"}
SHARED |= {"index"}  # an answer of a search says how the index stands
SHARED |= {
    "keep_versions",
    "keep_days",
    "keep_bytes",
}  # a workspace has them for all of its datasets


def test_no_other_list_names_the_options() -> None:
    """Two in one literal are a list of options that a new one would be missing from. The core decides by options:
    there each has rules of its own."""
    found = []
    for package in PRODUCT:
        for file in (ROOT / package).rglob("*.py"):
            place = str(file.relative_to(ROOT))
            if place.startswith(("syncjobs/migrations/", "syncjobs/order/", "syncjobs/core/")):
                continue
            for line, names in listed_names(ast.parse(file.read_text())):
                if len(names & set(OPTIONS) - SHARED) > 1:
                    found.append(f"{place}:{line} {sorted(names & set(OPTIONS))}")
    assert found == []


def test_no_surface_declares_an_option_again() -> None:
    """What decides by options takes values of them; a surface does not."""
    found = []
    for package in ("api", "cli", "console"):
        for file in (ROOT / package).rglob("*.py"):
            for line, names in declared_names(ast.parse(file.read_text())):
                if names & set(OPTIONS) - SHARED:
                    found.append(f"{file.relative_to(ROOT)}:{line} {sorted(names & set(OPTIONS))}")
    assert found == []


@dataclass(frozen=True, slots=True, kw_only=True)
class RowOrder:
    """As a second kind of work would have it."""

    key: tuple[str, ...] = job_option("Key", "Columns that name a row.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderOfRows:
    name: str = job_option("Name", "Unique.")
    work: RowOrder


def test_an_option_belongs_to_its_kind_of_work_alone() -> None:
    files = {each.name for each in options_of(FileOrder)}
    assert "extensions" in files
    assert "schedule" not in files
    written = read_order({"name": "rows", "key": ["id"], "extensions": [".csv"]}, OrderOfRows)
    assert written.values == {"name": "rows", "key": ["id"]}
    assert [path for path, _ in written.problems] == [("extensions",)]


def test_what_is_written_is_read_as_it_was() -> None:
    order = write_order(build(JobOrder, SyncJob(name="a", connector=make_connector())))
    read = read_order(order)
    assert read.problems == ()
    assert read.values["misfire"] == Misfire.RUN_ONCE
    row = SyncJob(connector=make_connector())
    for name in (*OWN, "name"):
        setattr(row, name, read.values[name])
    assert write_order(build(JobOrder, row)) == order


@pytest.mark.parametrize(
    ("given", "path"),
    [
        ({"settle": 3}, ("settle",)),
        ({"limits": {"settle_s": 3}}, ("limits", "settle_s")),
        ({"max_files": 3}, ("max_files",)),
        ({"limits": 3}, ("limits",)),
        ({"settle_s": -1}, ("settle_s",)),
        ({"settle_s": True}, ("settle_s",)),
        ({"settle_s": 1.5}, ("settle_s",)),
        ({"include": "*.csv"}, ("include",)),
        ({"include": ["a\0b"]}, ("include",)),
        ({"extensions": ["x" * 41]}, ("extensions",)),
        ({"misfire": "never"}, ("misfire",)),
        ({"enabled": "yes"}, ("enabled",)),
        ({"schedule": []}, ("schedule",)),
        ({"windows": {"from": "10:00"}}, ("windows",)),
        ({"move_to": "../up"}, ("move_to",)),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(given: dict[str, Any], path: Any) -> None:
    read = read_order(given)
    assert [place for place, _ in read.problems] == [path]
    assert read.values == {}


def make_connector() -> Connector:
    return Connector(workspace=Workspace(name="acme"), name="host", kind="sftp")


def test_a_text_of_a_variable_is_the_number_that_it_writes() -> None:
    assert read_order({"settle_s": "60", "enabled": "false"}).values == {
        "settle_s": 60,
        "enabled": False,
    }


def test_null_is_kept_apart_from_what_is_not_named() -> None:
    values = read_order({"settle_s": None, "limits": {"max_files": None}}).values
    assert values == {"settle_s": None, "max_files": None}
