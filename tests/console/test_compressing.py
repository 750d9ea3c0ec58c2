"""Pages go compressed, and nothing that streams or is no page."""

from __future__ import annotations

import gzip

from django.test import Client

from tests.console.conftest import Tenant

GZIP = {"Accept-Encoding": "gzip, br"}


def test_a_page_is_sent_compressed_to_who_takes_it(acme: Tenant, root: Client) -> None:
    plain = root.get("/admin/syncjobs/syncjob/")
    packed = root.get("/admin/syncjobs/syncjob/", headers=GZIP)
    assert packed["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed["Vary"]
    assert "Accept-Encoding" in plain["Vary"]
    assert int(packed["Content-Length"]) == len(packed.content) < len(plain.content) / 3
    assert b"acme-job" in gzip.decompress(packed.content)
    assert not plain.has_header("Content-Encoding")


def test_the_length_of_an_answer_tells_nothing(acme: Tenant, root: Client) -> None:
    """Random bytes in the header hide what a guess beside a secret would save (BREACH)."""
    lengths = {len(root.get("/admin/search/", headers=GZIP).content) for _ in range(12)}
    assert len(lengths) > 3


def test_what_streams_or_is_no_page_is_left_as_it_is(acme: Tenant, root: Client) -> None:
    name = f"/admin/datasets/dataset/{acme.dataset.pk}/entries/{acme.entry.pk}/"
    for url in (name, "/api/openapi.json"):
        answer = root.get(url, headers=GZIP, follow=True)
        assert answer.status_code == 200, url
        assert answer.get("Content-Encoding") != "gzip", url
