"""Files by REST: whole, in part, under conditions, and never shown by a browser."""

from __future__ import annotations

import hashlib
from contextlib import closing
from http.client import HTTPConnection, IncompleteRead
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.test import Client

from datasets.models import DamagedBlob, Entry, PackedBlob
from datasets.store import open_store
from syncjobs.models import SyncJob
from tests.api.asking import TREE, Asker, asker
from tests.hosts.gunicorn import running_gunicorn
from tests.hosts.sshd import Sshd
from tests.rows import fill, make_connector, make_job, run

pytestmark = pytest.mark.django_db(transaction=True)

LARGE = bytes(range(256)) * 12_000  # 3 MB: a file of its own in the store
HUGE = bytes(range(256)) * 24_000  # 6 MB: more than is hashed at once
SMALL = b"0123456789"  # packed
FILES = {
    "large.bin": LARGE,
    "a/b c/digits.txt": SMALL,
    "empty": b"",
    "page.html": b"<script>alert(1)</script>",
    "picture.svg": b"<svg onload='alert(1)'/>",
}
OTHERS = {f"other/{n}": b"x" for n in range(10)}  # so that one may go without a guard's word


@pytest.fixture
def program() -> Asker:
    return asker()


@pytest.fixture
def job(sshd: Sshd, source: Path) -> SyncJob:
    fill(source, FILES | OTHERS)
    job = make_job(make_connector(sshd.target(source)), name="files")
    run(job)
    return job


def content(answer: Any) -> bytes:
    return b"".join(answer.streaming_content) if answer.streaming else bytes(answer.content)


def path_of(name: str) -> str:
    return f"datasets/files/files/{quote(name)}"


@pytest.mark.parametrize("name", FILES)
def test_x15_a_file_comes_whole_and_as_an_attachment(
    program: Asker, job: SyncJob, name: str
) -> None:
    answer = program.get(path_of(name))
    assert answer.status_code == 200
    assert content(answer) == FILES[name]
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"] == "sandbox; default-src 'none'"
    assert answer["Content-Length"] == str(len(FILES[name]))
    assert answer["ETag"] == f'"{hashlib.sha256(FILES[name]).hexdigest()}"'
    assert answer["Accept-Ranges"] == "bytes"
    head = program.head(path_of(name), Range="bytes=0-1")
    assert (head.status_code, content(head)) == (200, b"")
    for field in ("Content-Length", "ETag", "Content-Type", "Accept-Ranges", "Cache-Control"):
        assert head[field] == answer[field]


@pytest.mark.parametrize("name", ["large.bin", "a/b c/digits.txt"])
@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=3-6", 3, 7),
        ("bytes=5-", 5, None),
        ("bytes=-4", -4, None),
        ("bytes=-99999999", 0, None),
        ("bytes=2-99999999", 2, None),
        ("Bytes= 1 - 2", 1, 3),
    ],
)
def test_a_single_range(
    program: Asker, job: SyncJob, name: str, asked: str, start: int, stop: int | None
) -> None:
    whole = FILES[name]
    answer = program.get(path_of(name), Range=asked)
    part = whole[start:stop]
    first = range(len(whole))[start]
    assert answer.status_code == 206
    assert content(answer) == part
    assert answer["Content-Range"] == f"bytes {first}-{first + len(part) - 1}/{len(whole)}"
    assert answer["Content-Length"] == str(len(part))
    assert answer["Content-Disposition"].startswith("attachment")


@pytest.mark.parametrize(
    "asked",
    ["bytes=", "bytes=-", "bytes=6-3", "bytes=0-1,4-5", "lines=0-1", "0-1", "bytes=x-", f"bytes={'9' * 5000}-"],
)  # fmt: skip
def test_what_is_no_single_range_gets_the_whole(program: Asker, job: SyncJob, asked: str) -> None:
    answer = program.get(path_of("a/b c/digits.txt"), Range=asked)
    assert (answer.status_code, content(answer)) == (200, SMALL)


@pytest.mark.parametrize("asked", ["bytes=10-", "bytes=10-20", "bytes=-0"])
def test_a_range_behind_the_end_cannot_be_had(program: Asker, job: SyncJob, asked: str) -> None:
    answer = program.get(path_of("a/b c/digits.txt"), Range=asked)
    assert (answer.status_code, answer["Content-Range"]) == (416, "bytes */10")
    assert answer["Content-Type"] == "application/problem+json"
    assert program.get(path_of("empty"), Range="bytes=0-").status_code == 416
    assert program.get(path_of("empty"), Range="bytes=-1").status_code == 200


def test_conditions(program: Asker, job: SyncJob) -> None:
    path = path_of("a/b c/digits.txt")
    etag = program.head(path)["ETag"]
    for condition in (etag, f'"x", {etag}', f"W/{etag}", "*"):
        answer = program.get(path, If_None_Match=condition)
        assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", etag)
    assert program.get(path, If_None_Match='"x"').status_code == 200
    assert program.get(path, If_Match=etag).status_code == 200
    other = program.get(path, If_Match='"x"')
    assert (other.status_code, other["Content-Type"]) == (412, "application/problem+json")
    assert program.get(path, Range="bytes=0-1", If_Range=etag).status_code == 206
    for stale in ('"x"', f"W/{etag}", "Wed, 21 Oct 2015 07:28:00 GMT"):
        answer = program.get(path, Range="bytes=0-1", If_Range=stale)
        assert (answer.status_code, content(answer)) == (200, SMALL)


def test_the_file_of_another_version(program: Asker, job: SyncJob, source: Path) -> None:
    fill(source, {"empty": b"full by now"}, age_s=900)
    (source / "page.html").unlink()
    run(job)
    assert content(program.get(path_of("empty"))) == b"full by now"
    assert content(program.get(path_of("empty"), {"version": 1})) == b""
    assert program.get(path_of("page.html"), {"version": 1}).status_code == 200
    for path, query in (
        (path_of("page.html"), {}),
        (path_of("empty"), {"version": 9}),
        (path_of("none"), {}),
        (path_of("a"), {}),
        (path_of("a/b c/digits.txt/"), {}),
    ):
        answer = program.get(path, query)
        assert (answer.status_code, answer["Content-Type"]) == (404, "application/problem+json")
    assert program.get(path_of("empty"), {"version": 0}).status_code == 400
    assert program.get(f"datasets/files/files/{quote(chr(0))}").status_code == 404


def test_n08_names_of_all_kinds_lead_to_their_files(
    program: Asker, job: SyncJob, source: Path
) -> None:
    names = ["b\udcff.txt", "größe/ß?#%2f.txt", "line\nend\r.txt", "dot./..x", "q\"';.txt", "{job}"]
    fill(source, {name: name.encode("utf-8", "surrogateescape") for name in names})
    run(job)
    entries = program.items("datasets/files/versions/2/entries")
    assert len(entries) == len(FILES) + len(OTHERS) + len(names)
    for entry in entries:
        answer = program.get(path_of(entry["path"]))
        assert answer.status_code == 200, entry["path"]
        assert hashlib.sha256(content(answer)).hexdigest() == entry["sha256"]
        assert not set("\r\n") & set(answer["Content-Disposition"])


@pytest.mark.parametrize("damage", ["gone", "short"])
def test_a_file_that_the_store_has_lost_is_told_before_a_byte_is_sent(
    program: Asker, job: SyncJob, damage: str
) -> None:
    entry = Entry.objects.get(path="large.bin")
    blob = open_store(job.workspace_id).path(bytes(entry.sha256))
    if damage == "gone":
        blob.unlink()
    else:
        blob.write_bytes(LARGE[:100])
    answer = program.get(path_of("large.bin"))
    assert (answer.status_code, answer["Content-Type"]) == (503, "application/problem+json")
    assert "cannot be read" in answer.json()["detail"]
    assert str(blob) not in answer.json()["detail"]


@pytest.mark.parametrize("name", ["large.bin", "huge.bin", "a/b c/digits.txt"])
@pytest.mark.parametrize("asked", ["", "bytes=0-0", "bytes=5-8"])
def test_wrong_bytes_are_never_sent_under_the_right_etag(
    program: Asker, job: SyncJob, source: Path, name: str, asked: str
) -> None:
    fill(source, {"huge.bin": HUGE})
    run(job)
    damage(job, name, at=5)
    for answer in (program.get(path_of(name), Range=asked), program.head(path_of(name))):
        assert answer.status_code == 503
        assert not answer.has_header("ETag")
    # Of a huge file each block is known since it was read for the index.
    words = "block 0 of it is not what was stored" if name == "huge.bin" else "another digest"
    assert words in program.get(path_of(name)).json()["detail"]
    assert DamagedBlob.objects.count() == 1
    run(job)  # it was noted, and is fetched again
    assert content(program.get(path_of(name))) == (FILES | {"huge.bin": HUGE})[name]


def test_a_block_that_rots_later_breaks_the_connection(
    program: Asker, job: SyncJob, source: Path, tmp_path: Path
) -> None:
    """The head is out by then; the answer must not end as if it were whole."""
    fill(source, {"huge.bin": HUGE})
    run(job)
    assert content(program.get(path_of("huge.bin"))) == HUGE
    damage(job, "huge.bin", at=(4 << 20) + 5)
    path = f"{TREE}/{path_of('huge.bin')}"
    with running_gunicorn(tmp_path) as port, closing(HTTPConnection("127.0.0.1", port)) as client:
        client.request("GET", path, headers={"Authorization": f"Bearer {program.token}"})
        answer = client.getresponse()
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(HUGE)))
        with pytest.raises(IncompleteRead) as cut:
            answer.read()
    assert HUGE.startswith(cut.value.partial)
    assert len(cut.value.partial) <= 4 << 20
    later = program.get(path_of("huge.bin"), Range=f"bytes={(4 << 20) + 5}-")
    assert later.status_code == 503


def damage(job: SyncJob, name: str, *, at: int) -> None:
    entry = Entry.objects.get(path=name, until=None)
    place = PackedBlob.objects.filter(sha256=entry.sha256).first()
    file = open_store(job.workspace_id).path(bytes(entry.sha256))
    if place is not None:
        file = settings.STORE_ROOT / str(job.workspace_id) / "packs" / f"{place.pack.hex}.pack"
        at += place.offset
    held = bytearray(file.read_bytes())
    held[at] ^= 1
    file.write_bytes(held)


def test_a_download_costs_no_memory(program: Asker, job: SyncJob) -> None:
    """It comes in pieces, of which none is large."""
    for asked in ("", "bytes=1-"):
        answer = program.get(path_of("large.bin"), Range=asked)
        pieces = [len(piece) for piece in answer.streaming_content]
        assert sum(pieces) >= len(LARGE) - 1
        assert max(pieces) <= 1 << 20


def test_a_file_needs_a_token(job: SyncJob) -> None:
    assert Client().get(f"{TREE}/{path_of('empty')}").status_code == 401
