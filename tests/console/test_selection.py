"""While a person writes a selection: which files of the real host it takes, from one listing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from connectors.listings import ListedFile
from connectors.models import Connector, SourceListing
from syncjobs.configuration.matching import build_tree, match_files
from syncjobs.core.patterns import escape_path, parse_pattern
from syncjobs.core.selection import Selection
from syncjobs.models import SyncJob
from tests.console.conftest import make_person
from tests.console.urls import page_of
from tests.hosts.scripted_ftp import ScriptedFtp, scripted_ftp
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job
from workspaces.models import Member, Role

pytestmark = pytest.mark.django_db(transaction=True)

TREE = {f"2026/11/orders-{n}.csv": b"x" * 1024 for n in range(9)} | {
    "drafts/a.csv": b"draft",
    "readme.txt": b"read me",
    "[odd] *?/x.csv": b"odd",
}


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, TREE)
    return make_job(make_connector(sshd.target(source)))


@pytest.fixture
def admin(client: Client) -> Client:
    client.force_login(make_person("root", superuser=True))
    return client


def _match(browser: Client, job: SyncJob, **given: Any) -> str:
    fields = {"connector": str(job.connector_id), "after_publish": "keep"} | given
    answer = browser.post(reverse("admin:syncjobs_syncjob_match"), fields)
    assert answer.status_code == 200
    text: str = answer.content.decode()
    return text


def test_the_files_that_match_are_counted_from_one_listing(
    job: SyncJob, admin: Client, source: Path
) -> None:
    text = _match(admin, job, include="**/*.csv", exclude="drafts/**")
    assert "10 of the 12 listed files match" in text
    assert 'data-leaves-out="/2026/11/**"' in text
    listing = SourceListing.objects.get()
    fill(source, {"later.csv": b"x"})
    # Nothing asks the host again while the listing is fresh, and the tree stays as a person has unfolded it.
    kept = _match(admin, job, include="*.txt", _listing=str(listing.listed_at))
    assert "1 of the 12 listed files match" in kept
    assert "selection-tree" not in kept
    assert "13 listed files" in _match(admin, job, include="*.csv", again="1")


def test_what_is_wrong_in_a_pattern_is_said(job: SyncJob, admin: Client) -> None:
    assert "never closed" in _match(admin, job, include="[a")
    assert "Choose a connector" in _match(admin, job, connector="")


def test_a_host_that_is_down_leaves_the_last_listing(admin: Client) -> None:
    with scripted_ftp({"a.csv": b"x", "b.txt": b"y"}) as host:
        job = make_job(make_connector(host.target(), kind="ftp"))
        assert "1 of the 2 listed files match" in _match(admin, job, include="*.csv")
        assert _asked(host) == 1
    text = _match(admin, job, include="*.csv", again="1")
    assert "The host did not answer" in text
    assert "1 of the 2 listed files match" in text
    assert "Try again" in text
    tried_at = SourceListing.objects.get().tried_at
    _match(admin, job, include="*.txt")  # typing asks a host that is down not once a key
    assert SourceListing.objects.get().tried_at == tried_at
    # Another source is no place for the old listing.
    Connector.objects.filter(pk=job.get_connector().pk).update(port=9)
    assert "listed files" not in _match(admin, job, include="*.csv")


def _asked(host: ScriptedFtp) -> int:
    return len(host.asked("MLSD"))


def test_only_who_may_save_the_form_makes_the_host_list(job: SyncJob, client: Client) -> None:
    person = make_person("eve")
    client.force_login(person)
    url = reverse("admin:syncjobs_syncjob_match")
    fields = {"connector": str(job.connector_id)}
    assert client.post(url, fields).status_code == 404
    Member.objects.create(workspace=job.workspace, user=person, role=Role.OPERATOR)
    assert client.post(url, fields).status_code == 404
    assert client.get(url).status_code == 405
    assert not SourceListing.objects.exists()


def test_the_settings_show_the_kept_listing_and_ask_nobody(job: SyncJob, admin: Client) -> None:
    assert "List the host" in admin.get(page_of(job)).content.decode()
    _match(admin, job, include="")
    page = admin.get(page_of(job)).content.decode()
    assert "of the 12 listed files match" in page
    assert "[odd] *?" in page


def test_a_folder_of_any_name_is_left_out_by_its_pattern(job: SyncJob, admin: Client) -> None:
    for name in ("[odd] *?", "re:x", "a]b", "plain"):
        matches = parse_pattern(f"{escape_path(name)}/**")
        assert matches(f"{name}/deep/file.txt"), name
        assert not matches(f"other/{name}/file.txt"), name
    text = _match(admin, job, exclude="/[[]odd] [*][?]/**")
    assert "11 of the 12 listed files match" in text


def test_a_tree_of_very_many_folders_is_cut() -> None:
    files = [ListedFile(f"{n // 1000}/{n}/file", 1, None) for n in range(20_000)]
    tree = build_tree(files)
    assert sum(1 + len(folder.folders) for folder in tree.folders.values()) <= 301
    assert len(match_files(files, Selection()).shown) == 200
