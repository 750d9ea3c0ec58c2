"""Identifiers are found whole and in parts."""

from __future__ import annotations

import pytest
from django.db import connection

from search.core.lexemes import (
    clean_signs,
    compose_words,
    iter_plain_numbers,
    split_compounds,
    split_path_words,
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "idle_in_transaction_session_timeout",
            {"idle_in_transaction_session_timeout", "idleintransactionsessiontimeout", "idle", "in",
             "transaction", "session", "timeout"},
        ),
        ("HeaderMismatch", {"headermismatch", "header", "mismatch"}),
        ("HTTPServer2", {"httpserver2", "http", "server", "2"}),
        ("V-1138", {"v-1138", "v1138", "1138"}),
        ("os.path.join", {"os.path.join", "ospathjoin", "os", "path", "join"}),
        ("Überfluß Straßenbahn", set()),
        ("Straßen-Bahn", {"straßen-bahn", "straßenbahn", "straßen", "bahn"}),
        ("a plain Timeout, and no more.", set()),
        ("x" * 5000 + "Y", set()),
        ("", set()),
        ("同步平台。", {"同步", "步平", "平台", "同", "步", "平", "台"}),
        ("26,619.59 EUR", {"26619.59", "619.59", "619", "59"}),
        ("1\u202f284\u202f300", {"1284300"}),
        ("V\u20111138", {"v-1138", "v1138", "1138"}),
        ("v2の設定", {"の設", "設定", "設", "定"}),
        ("ตั้งค่า", {"ตั้", "ั้ง", "้งค", "งค่", "ค่า"}),
        ("हिन्दी भाषा", set()),
        ("हिन्दी-भाषा", {"हिन्दी-भाषा", "हिन्दीभाषा", "हिन्दी", "भाषा"}),
        ("Straßen-Cafe\u0301", {"straßen-café", "straßencafé", "straßen", "café"}),
        ("\u30c8\u3099\u30a2", {"ドア"}),
    ],
)  # fmt: skip
def test_a_compound_is_kept_whole_and_split(text: str, words: set[str]) -> None:
    assert split_compounds(text) == words


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("26,619.59", ["26619.59"]),
        ("26.619,59 €", ["26619.59"]),
        ("26 619,59 26'619.59 26\u2019619.59", ["26619.59", "26619.59", "26619.59"]),
        ("1.284.300, then 4,850", ["1284300", "4850"]),
        ("88,20;x", ["88.20"]),
        ("7,3 % and 38,4 °C", ["7.3", "38.4"]),
        ("2 418 900 and 3 960,00 or 1 234,5", ["2418900", "3960.00", "1234.5"]),
        ("2019 960,00 or 12 3 960,00", ["960.00"]),
        ("12 345 and 100 200 300 400 500 600 700, 1 800 555 1234", []),
        ("31294.72 and 2026-11,50 and 1,2,3,400 and v1.234", []),
        ("1.2.345 10.1000", []),
    ],
)
def test_a_number_is_known_without_the_signs_between_its_thousands(
    text: str, numbers: list[str]
) -> None:
    assert list(iter_plain_numbers(text)) == numbers


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("“Love is”, said\u00a0he", " Love is , said he"),
        ("•item — l\u2019eau «x» 50 €", " item   l eau  x  50  "),
        ("an expen\u2010\n       sive soft\u00adhyphen", "an expensive softhyphen"),
        ("Größe, señora, 5 µm, ไทย, 設定。", "Größe, señora, 5 µm, ไทย, 設定 "),
        ('plain "text", it\'s', 'plain "text", it\'s'),
        ("Cafe\u0301 \u110e\u1161\u11bc\u1100\u1169", "Café 창고"),
        (
            "किताब है। \u0643\u062a\u0627\u0628\u060c \u05e9\u05dc\u05be\u05d0",
            "किताब है  \u0643\u062a\u0627\u0628  \u05e9\u05dc \u05d0",
        ),
    ],
)
def test_signs_beyond_ascii_are_no_letters(text: str, cleaned: str) -> None:
    assert clean_signs(text) == cleaned


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("bills/Invoice_2024-03.pdf", {"bills", "invoice", "2024", "03", "pdf", "invoice_2024-03"}),
        ("src/HeaderMismatch.py", {"src", "headermismatch", "header", "mismatch", "py"}),
        ("März 2024/Angebot7.docx", {"märz", "2024", "angebot7", "angebot", "7", "docx"}),
        ("报告/季度.txt", {"报告", "季度", "txt"}),
        ("Waschku\u0308che/I\u0301ndice.txt", {"waschküche", "índice", "txt"}),
        ("पुस्तकें/हिन्दी.txt", {"पुस्तकें", "हिन्दी", "txt"}),
    ],
)
def test_a_path_is_found_by_its_names_and_their_parts(path: str, words: set[str]) -> None:
    assert words <= split_path_words(path)
    assert not any("/" in word for word in split_path_words(path))


@pytest.mark.django_db
def test_a_chunk_has_words_stems_and_a_weighed_heading() -> None:
    body, heading = "The HeaderMismatch of V-1138 is running", "Install > Linux"
    words = compose_words(["english"], heading="%(h)s", body="%(b)s", compounds="%(c)s::text[]")
    question = (
        "SELECT w @@ 'headermismatch' AND w @@ 'mismatch' AND w @@ '''v-1138'''"
        " AND w @@ 'running' AND w @@ 'run' AND w @@ 'linux:B' AND NOT w @@ 'running:B'"
        " AND w @@ 'the <-> headermismatch' AND w @@ 'is <-> running' FROM (SELECT "
    )
    with connection.cursor() as cursor:
        cursor.execute(
            f"{question}{words} AS w) made",
            {"h": heading, "b": body, "c": sorted(split_compounds(f"{heading} {body}"))},
        )
        assert cursor.fetchone() == (True,)
