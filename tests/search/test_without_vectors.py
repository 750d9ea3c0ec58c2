"""A database that has no pgvector, as an operator's own may be: nothing fails, search goes by words, and the remedy is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest

from tests.answering import ROOT
from tests.hosts.databases import drop_database
from tests.servers import servers

BARE = "without_vector"
WORK = """
import json
from search.choices import write_choice
from search.embedding.queries import embed_question
from search.models import IndexGeneration
from search.vectors.generations import settle_generation
from tests.search.chunks import add_text, index_of, index_once, make_dataset
dataset = make_dataset()
add_text(dataset, ["one", "two"])
before = index_of(dataset)
done = index_once(dataset)
index = index_of(dataset)
asked = embed_question(dataset.workspace, "what", 1.0)
changed = write_choice(dataset.workspace, {"embedding": {"service": "off"}})
settle_generation(dataset.workspace_id)
print(json.dumps({
    "before": [before.state, before.pending_chunks], "state": index.state, "reason": index.reason,
    "pending_chunks": index.pending_chunks, "generations": IndexGeneration.objects.count(),
    "code": asked.code, "detail": asked.detail, "settings": bool(changed),
}))
"""


def run_manage(url: str, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "manage.py", *words],
        env=os.environ | {"DATABASE_URL": url},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def bare_url() -> Iterator[str]:
    """A database as another server's template makes it."""
    url = servers().database_url
    with closing(psycopg.connect(url, autocommit=True)) as session:
        session.execute(f"CREATE DATABASE {BARE} TEMPLATE template0")
        try:
            yield f"{url.rpartition('/')[0]}/{BARE}"
        finally:
            drop_database(session, BARE)


def test_no_migration_fails_and_a_check_says_what_to_do(bare_url: str) -> None:
    migrated = run_manage(bare_url, "migrate", "--no-input")
    assert migrated.returncode == 0, migrated.stderr
    checked = run_manage(bare_url, "check", "--database", "default")
    assert checked.returncode == 0
    assert "search.W001" in checked.stderr
    assert "CREATE EXTENSION vector" in checked.stderr


def test_the_index_is_current_by_words_and_questions_hear_why(bare_url: str) -> None:
    assert run_manage(bare_url, "migrate", "--no-input").returncode == 0
    ran = run_manage(bare_url, "shell", "-v", "0", "-c", WORK)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout.splitlines()[-1])
    assert told == {
        "before": ["catching_up", 2],
        "state": "current",
        "pending_chunks": 0,
        "reason": "no_vectors: the database has no extension vector, so search is by words",
        "generations": 0,
        "code": "no_vectors",
        "detail": told["detail"],
        "settings": True,
    }
    assert "CREATE EXTENSION vector" in told["detail"]
