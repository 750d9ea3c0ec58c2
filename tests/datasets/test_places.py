"""The index of packed blobs, on the real database."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path

import pytest

from datasets.models import PackedBlob
from datasets.places import Places
from store.blobs import BlobStore
from store.packs import Place
from store.sentinel import write_store_id
from workspaces.models import Workspace

pytestmark = pytest.mark.django_db

DIGESTS = [hashlib.sha256(b"%d" % number).digest() for number in range(3)]


@pytest.fixture
def workspace() -> Workspace:
    return Workspace.objects.create(name="acme")


def test_what_is_added_is_found_and_the_first_place_counts(workspace: Workspace) -> None:
    index = Places(workspace.pk)
    first, second = uuid.uuid4(), uuid.uuid4()
    index.add({DIGESTS[0]: Place(first, 2**40, 7), DIGESTS[1]: Place(first, 99, 0)})
    index.add({DIGESTS[1]: Place(second, 1, 0), DIGESTS[2]: Place(second, 2, 3)})
    assert index.find(DIGESTS) == {
        DIGESTS[0]: Place(first, 2**40, 7),
        DIGESTS[1]: Place(first, 99, 0),
        DIGESTS[2]: Place(second, 2, 3),
    }
    unknown = uuid.uuid4()
    assert index.find_orphans([first, unknown]) == {unknown}


def test_what_is_stored_once_more_is_young_again(workspace: Workspace) -> None:
    index = Places(workspace.pk)
    index.add({DIGESTS[0]: Place(uuid.uuid4(), 1, 1)})
    PackedBlob.objects.update(stored_at="2000-01-01T00:00:00Z")
    assert set(index.refresh(DIGESTS)) == {DIGESTS[0]}
    assert PackedBlob.objects.get().stored_at.year > 2000


def test_nobody_finds_what_another_workspace_holds(workspace: Workspace, tmp_path: Path) -> None:
    other = Workspace.objects.create(name="other")
    write_store_id(tmp_path, uuid.uuid4())
    stores = [BlobStore(tmp_path, each.pk, Places(each.pk)) for each in (workspace, other)]
    for store in stores:
        store.prepare()
        writer = store.create("attempt")
        writer.write(b"the same")
        store.commit("attempt", [writer.finish()])
    digest = hashlib.sha256(b"the same").digest()
    places = [Places(each.pk).find([digest])[digest] for each in (workspace, other)]
    assert places[0].pack != places[1].pack
    assert all(store.verify(digest) for store in stores)
