"""A version as a ZIP by REST."""

from __future__ import annotations

import io
import socket
import zipfile
from pathlib import Path

import pytest
from django.test import Client

from datasets.models import Entry
from syncjobs.models import SyncJob
from tests.api.asking import TREE, Asker, asker
from tests.api.test_places import taken
from tests.hosts.gunicorn import running_gunicorn
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run
from workspaces.places import DOWNLOADS_MAX, DOWNLOADS_OF_WORKSPACE, downloads

pytestmark = pytest.mark.django_db(transaction=True)

ARCHIVE = "datasets/files/versions/1/archive"
FILES = {
    "a/one.txt": b"one",
    "a/b/two.txt": b"two" * 1_000,
    "three.bin": bytes(range(256)) * 40_000,
}


@pytest.fixture
def program() -> Asker:
    return asker()


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, FILES)
    job = make_job(make_connector(sshd.target(source)), name="files")
    run(job)
    return job


def test_a_version_or_a_part_of_it_comes_as_a_zip(program: Asker, job: SyncJob) -> None:
    answer = program.get(ARCHIVE)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/zip")
    assert answer["Content-Disposition"] == 'attachment; filename="files v1.zip"'
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as archive:
        assert {name: archive.read(name) for name in archive.namelist()} == FILES
    part = program.get(ARCHIVE, {"prefix": "a/"})
    assert part["Content-Disposition"] == 'attachment; filename="files-a v1.zip"'
    with zipfile.ZipFile(io.BytesIO(b"".join(part.streaming_content))) as archive:
        assert archive.namelist() == ["a/b/two.txt", "a/one.txt"]


def test_what_cannot_be_had_is_refused_in_words(program: Asker, job: SyncJob) -> None:
    assert program.get(ARCHIVE, {"prefix": "nowhere/"}).status_code == 404
    assert program.get(ARCHIVE.replace("1", "7")).status_code == 404
    assert program.get(ARCHIVE, {"prefix": "\0"}).status_code == 400
    assert Client().get(f"{TREE}/{ARCHIVE}").status_code == 401
    Entry.objects.filter(path="a/b/two.txt").update(sha256=b"\1" * 32)
    refused = program.get(ARCHIVE)
    assert refused.status_code == 503
    assert "cannot be read" in refused.json()["detail"]


def test_an_archive_holds_a_place_and_gives_it_back(program: Asker, job: SyncJob) -> None:
    with taken(downloads, DOWNLOADS_OF_WORKSPACE, str(job.workspace_id)):
        assert program.get(ARCHIVE, {"prefix": "a/one"}).status_code == 429
    with taken(downloads, DOWNLOADS_MAX):
        assert program.get(ARCHIVE).status_code == 503
    answer = program.get(ARCHIVE)
    assert downloads.count == 1
    answer.close()
    assert downloads.count == 0


def test_a_client_that_goes_away_stops_it(job: SyncJob, tmp_path: Path) -> None:
    """More of them than there are places ask, read a little and go; then one more gets the whole."""
    ask = f"GET {TREE}/{ARCHIVE} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {asker().token}\r\nConnection: close\r\n\r\n"
    with running_gunicorn(tmp_path) as port:
        for _ in range(DOWNLOADS_OF_WORKSPACE + 2):
            status = b"HTTP/1.1 429"
            while status == b"HTTP/1.1 429":  # until the one before has been noticed to be gone
                with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
                    client.sendall(ask.encode())
                    status = client.recv(12)
            assert status == b"HTTP/1.1 200"
