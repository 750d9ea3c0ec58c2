"""The one door to the rows of a workspace."""

from __future__ import annotations

import uuid

import pytest
from django.contrib.auth.models import User

from datasets.models import Dataset
from tests.rows import make_workspace
from workspaces.lookup import (
    filter_by_name,
    filter_by_part,
    find_by_id,
    find_by_name,
    find_ids,
    find_row,
    find_workspace,
    find_workspace_by_name,
)
from workspaces.models import ApiToken, Member, Role, Workspace
from workspaces.tokens import create_token

pytestmark = pytest.mark.django_db

NAMES_NOTHING = ["\0", "reports\0", "\ud800", "x" * 101, "x" * 1_000_000, "", "{}", "urn:uuid:"]


@pytest.fixture
def acme() -> Workspace:
    return make_workspace("acme")


@pytest.fixture
def reports(acme: Workspace) -> Dataset:
    return Dataset.objects.create(workspace=acme, name="reports")


def test_a_row_is_found_by_its_id_and_by_its_name(acme: Workspace, reports: Dataset) -> None:
    rows = Dataset.objects.all()
    for called in ("reports", str(reports.pk), str(reports.pk).upper(), reports.pk.hex):
        assert find_row(rows, acme, called) == reports
    assert find_row(rows, acme.pk, "reports") == reports
    assert find_ids(rows, acme, "reports") == [reports.pk]
    assert find_by_id(rows, acme, reports.pk) == find_by_id(rows, acme, str(reports.pk)) == reports


def test_p12_a_row_of_another_workspace_is_not_found(reports: Dataset) -> None:
    lab, rows = make_workspace("lab"), Dataset.objects.all()
    for called in ("reports", str(reports.pk)):
        assert find_row(rows, lab, called) is None
        assert find_ids(rows, lab, called) == []
        assert find_by_id(rows, lab, called) is None
    assert not filter_by_name(rows, lab, ["reports"]).exists()


@pytest.mark.parametrize("called", NAMES_NOTHING, ids=lambda text: repr(text[:12]))
def test_n04_what_no_column_can_hold_names_nothing(
    acme: Workspace, reports: Dataset, called: str
) -> None:
    rows = Dataset.objects.all()
    assert find_row(rows, acme, called) is None
    assert find_by_name(rows, acme, called) is None
    assert find_by_id(rows, acme, called) is None
    assert find_workspace(called) is None
    assert find_workspace_by_name(called) is None
    assert [*filter_by_name(rows, acme, [called, "reports"])] == [reports]
    assert find_row(Member.objects.all(), acme, called, by="user__username") is None


def test_n04_a_part_that_no_name_can_have_is_in_none(reports: Dataset) -> None:
    rows = Dataset.objects.all()
    assert [*filter_by_part(rows, "PORT")] == [reports]
    assert [*filter_by_part(rows, "\0")] == [*filter_by_part(rows, "\ud800")] == []


def test_a_row_with_the_id_comes_before_one_that_is_named_like_it(
    acme: Workspace, reports: Dataset
) -> None:
    namesake = Dataset.objects.create(workspace=acme, name=str(reports.pk))
    assert find_row(Dataset.objects.all(), acme, str(reports.pk)) == reports
    assert find_by_name(Dataset.objects.all(), acme, str(reports.pk)) == namesake
    # An id that is another workspace's is a name here.
    theirs = Dataset.objects.create(workspace=make_workspace("lab"), name="theirs")
    alike = Dataset.objects.create(workspace=acme, name=str(theirs.pk))
    assert find_row(Dataset.objects.all(), acme, str(theirs.pk)) == alike


def test_other_columns_name_rows_too(acme: Workspace) -> None:
    token, _ = create_token(acme, name="ci", role=Role.VIEWER)
    assert find_row(ApiToken.objects.all(), acme, token.prefix, by="prefix") == token
    person = User.objects.create_user("ada")
    member = Member.objects.create(workspace=acme, user=person)
    rows = Member.objects.all()
    assert find_row(rows, acme, "ada", by="user__username") == member
    # Members have no id that anybody is told.
    assert find_row(rows, acme, str(member.pk), by="user__username") is None


def test_a_workspace_is_found_among_those_that_are_given(acme: Workspace) -> None:
    assert find_workspace("acme") == find_workspace(str(acme.pk)) == acme
    assert find_workspace(str(uuid.uuid4())) is None
    assert find_workspace("acme", Workspace.objects.exclude(pk=acme.pk)) is None
