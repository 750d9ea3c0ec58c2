"""Customers and invoices of Stripe in tables, as the first users of row syncs want them (localstripe plays Stripe)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from connectors.models import Connector
from farends.rest.source import RestSource
from syncjobs.core.states import State
from syncjobs.models import SyncMode
from tests.hosts.localstripe import ENTITIES, LocalStripe, running_localstripe
from tests.hosts.sinks import loopback_context
from tests.rows import make_connector, make_job, run
from tests.rowwork.conftest import rows_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stripe(tmp_path: Path) -> Iterator[LocalStripe]:
    with running_localstripe(tmp_path) as running:
        set_up_plan(running)
        yield running


@pytest.fixture
def connector(stripe: LocalStripe) -> Connector:
    made = make_connector(stripe.target(), kind="rest")
    made.entities = ENTITIES
    made.save()
    return made


def set_up_plan(stripe: LocalStripe) -> None:
    product = stripe.create("/products", name="a box a month", type="service")
    stripe.create(
        "/plans", id="box", product=product["id"], amount=1_000, currency="eur", interval="month"
    )


def fill(stripe: LocalStripe, count: int) -> None:
    """Each customer subscribes, and so gets an invoice."""
    for number in range(count):
        customer = stripe.create(
            "/customers",
            email=f"user{number}@example.com",
            name=f"Größe {number}",
            **{"metadata[tier]": "gold"},
        )
        card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        method = stripe.create(
            "/payment_methods",
            type="card",
            **{f"card[{name}]": told for name, told in card.items()},
        )
        stripe.create(f"/payment_methods/{method['id']}/attach", customer=customer["id"])
        paid_by = {"invoice_settings[default_payment_method]": method["id"]}
        stripe.create(f"/customers/{customer['id']}", **paid_by)
        stripe.create("/subscriptions", customer=customer["id"], **{"items[0][plan]": "box"})


def test_customers_and_invoices_are_tables_and_a_later_record_adds_what_is_new(
    stripe: LocalStripe, connector: Connector
) -> None:
    fill(stripe, 23)
    job = make_job(
        connector, entities={"include": ["customers", "inv*"]}, sync_mode=SyncMode.INCREMENTAL
    )
    record = run(job)
    assert (record.state, record.error) == (State.SUCCEEDED, "")
    assert [one["name"] for one in record.tables or []] == ["customers", "invoices"]
    customers = rows_of(job, "customers")
    assert {row["name"] for row in customers} == {f"Größe {number}" for number in range(23)}
    assert {row["metadata"] for row in customers} == {'{"tier": "gold"}'}
    assert len(rows_of(job, "invoices")) == 23
    fill(stripe, 2)
    again = run(job)
    assert (again.state, again.rows_added, again.rows_removed) == (State.SUCCEEDED, 4, 0)
    third = run(job)
    assert (third.rows_added, third.rows_changed, third.rows_removed) == (0, 0, 0)


def test_what_stripe_offers_is_seen_before_anything_is_saved(stripe: LocalStripe) -> None:
    fill(stripe, 3)
    source = RestSource(stripe.target(), loopback_context())
    try:
        customers, events, invoices = source.entities()
        assert (customers.name, events.name, invoices.name) == ("customers", "events", "invoices")
        types = {column.name: column.type for column in customers.columns}
        assert (types["id"], types["created"], types["metadata"]) == ("text", "bigint", "jsonb")
        assert invoices.key == ("id",)
        shown = source.preview({"name": "customers"}, 2)
        assert len(shown.rows) == 2
        assert not shown.complete
    finally:
        source.close()
