"""Text of files of every kind: what it says, where it stands, and why some files have none."""

from __future__ import annotations

import io
import math
import random
import struct
from collections.abc import Iterable, Iterator

import pytest

from search.core.chunking import cut
from search.core.texts import CHARACTERS_MAX, Cut, Extracted, RefusalCode, TextRefusal
from search.extracting.extractor import DOCUMENT_BYTES_MAX, Extractor
from search.extracting.frames import clean_note
from tests.search import documents
from tests.search.documents import excel_row, make_docx, make_xlsx, word_paragraph


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor() as extractor:
        yield extractor


def extract(extractor: Extractor, name: str, content: bytes) -> Extracted | TextRefusal:
    return extractor.extract(name, lambda: io.BytesIO(content), len(content))


def read(extractor: Extractor, name: str, content: bytes) -> tuple[str, list[Cut]]:
    told = extract(extractor, name, content)
    assert isinstance(told, Extracted), told
    return told.kind, list(cut(told, name))


def text_of(extractor: Extractor, name: str, content: bytes) -> str:
    told = extract(extractor, name, content)
    assert isinstance(told, Extracted), told
    return "".join(piece.text for piece in told.pieces)


def refusal_of(extractor: Extractor, name: str, content: bytes) -> str:
    told = extract(extractor, name, content)
    assert isinstance(told, TextRefusal), told
    assert told.note.endswith(".") or told.code is RefusalCode.EXTRACT_FAILED
    return told.code.value


PLACES = {
    "good.txt": (1, "", ""),
    "good.md": (1, "", "Install"),
    "good.html": (1, "", "Install"),
    "good.docx": (None, "body", "Install"),
    "good.xlsx": (None, "sheet Orders row 12", "Orders"),
    "good.pptx": (None, "slide 2", "Install"),
    "good.pdf": (None, "page 2", ""),
    "good.odt": (None, "body", "Install"),
    "good.eml": (None, "body", "Größe"),
}


@pytest.mark.parametrize("name", documents.GOOD)
def test_a_chunk_says_where_in_its_document_it_stands(extractor: Extractor, name: str) -> None:
    kind, found = read(extractor, name, documents.GOOD[name]())
    assert name.endswith(kind)
    told = [(each.line, each.place, each.heading) for each in found if "needle" in each.body]
    if name == "good.html":  # the title stands above it
        told = [(1, place, heading) for _, place, heading in told]
    assert told == [PLACES[name]]


WRITTEN = "Größe der Straße, élève, naïve\n"
CHARSETS: list[tuple[str, str, bytes]] = [
    (codec, text, text.encode(codec))
    for codec, text in [
        ("utf-8", WRITTEN),
        ("utf-8-sig", WRITTEN),
        ("utf-16", WRITTEN),
        ("utf-32", WRITTEN),
        ("utf-16-le", WRITTEN),
        ("utf-16-be", WRITTEN),
        ("utf-32-le", WRITTEN),
        ("utf-16-le", "Склад проверяется каждый день rusmark\n" * 40),
        ("utf-16-be", "Склад проверяется каждый день rusmark\n" * 40),
        ("utf-16-le", "Склад № 7 — проверяется каждый день.\n"),
        ("utf-16-le", "يتم فحص المستودع كل يوم\n"),
        ("utf-16-be", "गोदाम की जाँच हर दिन होती है\n"),
        ("utf-16-le", "คลังสินค้าตรวจสอบทุกวัน\n"),
        ("utf-16-be", "日本語の文章です。\n今日はとても良い天気なので。\n"),
        ("cp1252", WRITTEN),
        ("cp1252", "résumé"),
        ("cp1252", "L'élève a été reçu à l'école où il étudie. Ça va très bien.\n"),
        ("cp1252", "\u201cQuoted\u201d \u2013 it\u2019s 5 € for a café…\n"),
        ("latin-1", "Müller GmbH;10,5\n"),
        ("cp1250", "Zażółć gęślą jaźń. W Szczebrzeszynie chrząszcz brzmi w trzcinie.\n"),
        ("iso8859_2", "Zażółć gęślą jaźń. W Szczebrzeszynie chrząszcz brzmi w trzcinie.\n"),
        ("cp1251", "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"),
        ("koi8_r", "Съешь же ещё этих мягких французских булок, да выпей чаю.\n"),
        ("cp1254", "Bugün hava çok güzel, çocuklar bahçede oynuyor. İstanbul güneşli.\n"),
        ("shift_jis", "日本語の文章です。今日はとても良い天気なので、公園へ行きました。\n"),
        (
            "euc_jp",
            "日本語の文章です。今日はとても良い天気なので、公園へ散歩に行きました。データの同期を確認してください。\n",
        ),
        ("iso2022_jp", "日本語の文章です。今日はとても良い天気なので、公園へ行きました。\n"),
        ("gb18030", "今天天气很好,我们一起去公园散步。请检查数据同步的状态。\n"),
        ("euc_kr", "오늘은 날씨가 매우 좋아서 공원에 산책하러 갔습니다.\n"),
    ]
]


@pytest.mark.parametrize(("codec", "text", "raw"), CHARSETS)
def test_a_charset_is_found_that_no_name_tells(
    extractor: Extractor, codec: str, text: str, raw: bytes
) -> None:
    assert text_of(extractor, "a.txt", raw) == text


def test_a_few_bytes_that_are_no_characters_do_not_hide_a_text(extractor: Extractor) -> None:
    raw = ("Größe und Höhe. " * 100).encode() + b"\xff\n"
    assert text_of(extractor, "a.txt", raw) == "Größe und Höhe. " * 100 + "\ufffd\n"
    cut_off = b"a" * 50 + "ß".encode()[:1]
    assert text_of(extractor, "a.txt", b"\xc3\x9f" + cut_off).startswith("ß" + "a" * 50)


def test_a_text_stands_as_it_is_in_the_file(extractor: Extractor) -> None:
    raw = b'{"a": "\\u00e9",\r\n\t"b": 1}  \r\n'
    told = extract(extractor, "a.json", raw)
    assert isinstance(told, Extracted)
    assert "".join(piece.text for piece in told.pieces) == raw.decode()
    _, found = read(extractor, "old.txt", b"one\rtwo\rthree\r")  # of a Mac of old
    assert [each.body for each in found] == ["one\ntwo\nthree"]


def test_a_long_text_is_read_in_bounded_pieces_and_cut(extractor: Extractor) -> None:
    raw = ("Zeile mit Wörtern.\n" * 600_000).encode()
    told = extract(extractor, "a.log", raw)
    assert isinstance(told, Extracted)
    lines = sizes = 0
    for piece in told.read():
        assert len(piece.text) <= 1 << 20
        assert piece.line == lines + 1
        lines += piece.text.count("\n")
        sizes += len(piece.text)
    assert sizes == CHARACTERS_MAX
    assert told.is_cut


@pytest.mark.parametrize(("more", "is_cut"), [(0, False), (1, True)])
def test_a_text_that_just_fits_is_not_cut(extractor: Extractor, more: int, is_cut: bool) -> None:
    told = extract(extractor, "a.log", b"x" * (CHARACTERS_MAX + more))
    assert isinstance(told, Extracted)
    assert sum(len(piece.text) for piece in told.read()) == CHARACTERS_MAX
    assert told.is_cut == is_cut


def test_a_long_document_is_cut_and_says_so(extractor: Extractor) -> None:
    long = make_docx(word_paragraph("Zeile mit Worten. " * 1_000) * 500)
    for document, is_cut in ((long, True), (make_docx(word_paragraph("short")), False)):
        told = extract(extractor, "a.docx", document)
        assert isinstance(told, Extracted)
        assert list(told.read())
        assert told.is_cut == is_cut


def test_what_a_file_is_shows_in_its_first_bytes(extractor: Extractor) -> None:
    pdf = documents.GOOD["good.pdf"]()
    assert read(extractor, "report.txt", pdf)[0] == ".pdf"
    assert read(extractor, "report", pdf)[0] == ".pdf"
    assert read(extractor, "report", documents.GOOD["good.docx"]())[0] == ".docx"
    assert read(extractor, "report.bin", documents.GOOD["good.xlsx"]())[0] == ".xlsx"
    assert read(extractor, "report", documents.GOOD["good.odt"]())[0] == ".odt"
    assert read(extractor, "page", documents.GOOD["good.html"]())[0] == ".html"
    assert read(extractor, "1700000000.M1P2.host,S=2", documents.GOOD["good.eml"]())[0] == ".eml"
    assert read(extractor, "Makefile", b"all:\n\techo needle\n")[0] == ".txt"
    assert read(extractor, "run", b"#!/bin/sh\necho needle\n")[0] == ".py"
    assert read(extractor, "a.HTM", documents.GOOD["good.html"]())[0] == ".html"
    assert read(extractor, "macro.docm", documents.GOOD["good.docx"]())[0] == ".docx"
    assert read(extractor, "really-text.pdf", b"A text that has a wrong name.\n")[0] == ".txt"


_CHANCE = random.Random(16)  # noqa: S311 — bytes of a test


def _pack_samples(values: Iterable[int]) -> bytes:
    return b"".join(struct.pack("<h", value) for value in values)


REFUSED: list[tuple[str, bytes, str]] = [
    ("a.bin", _CHANCE.randbytes(4_000), "binary"),
    ("a.bin", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x04\0\0\0\x03\0\x08\x06" + _CHANCE.randbytes(4_000), "binary"),
    ("a.bin", b"\x7fELF\x02\x01\x01" + bytes(9) + struct.pack("<HHIQQQ", 3, 62, 1, 0x401040, 64, 14_000) * 40, "binary"),
    ("a.bin", _pack_samples(round(9_000 * math.sin(n / 20)) for n in range(4_000)), "binary"),
    ("a.bin", _pack_samples(round(1_060 + 20 * math.sin(n / 20)) for n in range(4_000)), "binary"),
    ("a.bin", _pack_samples(_CHANCE.choice([0, 1_040, 1_050, 1_071]) for _ in range(4_000)), "binary"),
    ("a.bin", _pack_samples(_CHANCE.randrange(0, 1_152) for _ in range(4_000)), "binary"),
    ("a.bin", _pack_samples(range(1_025, 1_148)) + b"ab\0cd", "binary"),
    ("a.bin", b"\x04\x10" * 400 + b"\0a" * 20, "binary"),
    ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(100), "binary"),
    ("a.txt", b"text\0text", "binary"),
    ("a.txt", b"\x01\x02\x03text" * 50, "binary"),
    ("a.zip", documents.pack({"a.txt": "a"}).replace(b"[Content_Types].xml", b"abcdefghijklmnopqrs"), "binary"),
    ("a.jar", documents.pack({"a.txt": "a"}), "binary"),
    ("a.txt", bytes(128 + n * 37 % 128 for n in range(4_000)), "unknown_charset"),
    ("locked.pdf", documents.make_locked_pdf(), "encrypted"),
    ("locked.docx", documents.make_locked_docx(), "encrypted"),
    ("broken.pdf", b"%PDF-1.7\n" + b"\x00garbage" * 20, "extract_failed"),
    ("broken.docx", documents.GOOD["good.docx"]()[:-40], "extract_failed"),
    ("empty.docx", documents.pack({"a.xml": "<a/>"}), "extract_failed"),
    ("broken.xlsx", bytes(2_000), "extract_failed"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "code"), REFUSED)
def test_a_file_without_text_is_refused_by_its_code(
    extractor: Extractor, name: str, content: bytes, code: str
) -> None:
    assert refusal_of(extractor, name, content) == code


def test_a_document_that_is_too_large_is_not_opened(extractor: Extractor) -> None:
    pdf = documents.GOOD["good.pdf"]()
    told = extractor.extract("a.pdf", lambda: io.BytesIO(pdf), DOCUMENT_BYTES_MAX + 1)
    assert isinstance(told, TextRefusal)
    assert told.code is RefusalCode.TOO_LARGE


def test_an_empty_file_has_a_text_without_chunks(extractor: Extractor) -> None:
    assert read(extractor, "a.txt", b"") == (".txt", [])
    assert read(extractor, "a.html", b"") == (".html", [])


def test_a_web_page_is_read_as_its_readers_see_it(extractor: Extractor) -> None:
    page = """<!DOCTYPE html><html><head><title>A &amp; B</title><style>p {x: 1}</style>
        <meta charset=utf-8><script>if (a < b) { "</p>" }</script></head>
        <body><nav><a href="/">menu</a></nav><!-- hidden <p> -->
        <div style="color: red; display:none">gone<div>gone too</div></div><p hidden>gone
        <p>One   <b>bold</b>word &lt;x&gt;,<br>next&nbsp;line <img alt="a picture" src=x>
        <h2>Part <i>two</i></h2>
        <ul><li>first<li>second</ul><table><tr><td>1<td>2</table>
        <pre>  kept
  as is</pre><svg><text>drawn</text></svg><a title="x>y" href='"'>after</a>
        <textarea>typed</textarea></body></html><!-- never closed <p>gone"""
    text = text_of(extractor, "a.html", page.encode())
    assert text == (
        "A & B\n\nOne boldword <x>,\nnext\xa0line a picture\n\nPart two\n\n- first\n- second\n\n| 1 | 2\n\n  kept\n"
        "  as is\n\nafter typed\n"
    )
    _, found = read(extractor, "a.html", page.encode())
    lines = text.split("\n")
    for each in found:
        assert each.line is not None
        assert lines[each.line - 1].startswith(each.body.split("\n")[0])
    assert [each.heading for each in found] == ["A & B", "A & B > Part two"]


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("<p>a<p hidden>b<p>c", "a\n\nc\n"),
        ("<div hidden>b</div>c", "c\n"),
        ("<div><span hidden>b</div>c", "c\n"),
        ("<ul><li aria-hidden=true>b<li>c</ul>d", "- c\n\nd\n"),
        ('<p title="a > b">c', "c\n"),
        ('a<p title="never closed>b', "a\n"),
        ("a < b and c</p>d", "a < b and c\n\nd\n"),
        ("a<b", "a\n"),
        ("<title>a<p>b", "a<p>b\n"),
        ("x<script>a</SCRIPT >b", "xb\n"),
        ("<template><p>a</template>b", "b\n"),
        ("a<!>b<!x>c<?php d ?>e", "abce\n"),
        ("&#x41;&bogus;&#" + "9" * 5_000 + ";", None),
    ],
)
def test_a_page_that_breaks_rules_is_read_as_browsers_do(
    extractor: Extractor, page: str, text: str | None
) -> None:
    told = text_of(extractor, "a.html", page.encode())
    assert text is None or told == text


@pytest.mark.parametrize("said", ["shift_jis", "no-such-charset", "utf-8"])
def test_a_page_says_its_charset_and_may_be_wrong(extractor: Extractor, said: str) -> None:
    raw = f"<meta charset='{said}'><p>日本語の文章です。今日はとても良い天気なので".encode(
        "shift_jis"
    )
    assert "日本語の文章です" in text_of(extractor, "a.html", raw)


def test_a_word_document_has_headings_tables_notes_and_nothing_twice(extractor: Extractor) -> None:
    styles = (
        f'<w:styles xmlns:w="{documents.W}"><w:style w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>'
        '<w:style w:styleId="Own"><w:name w:val="My own"/><w:pPr><w:outlineLvl w:val="2"/></w:pPr></w:style></w:styles>'
    )
    body = (
        word_paragraph("Guide", "Title")
        + word_paragraph("Install", "berschrift2")
        + word_paragraph("On Linux", "Own")
        + "<w:p><w:r><w:t>One</w:t><w:tab/><w:t xml:space='preserve'> two </w:t><w:br/><w:t>three</w:t></w:r>"
        "<w:r><w:delText>deleted</w:delText><w:instrText>PAGE</w:instrText></w:r></w:p>"
        + f"<w:tbl><w:tr><w:tc>{word_paragraph('a')}</w:tc><w:tc>{word_paragraph('b')}</w:tc></w:tr></w:tbl>"
        + '<mc:AlternateContent xmlns:mc="m"><mc:Choice><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Choice>'
        "<mc:Fallback><w:p><w:r><w:t>box</w:t></w:r></w:p></mc:Fallback></mc:AlternateContent>"
    )
    notes = f'<w:footnotes xmlns:w="{documents.W}">{word_paragraph("a note")}</w:footnotes>'
    parts = {"word/styles.xml": styles, "word/footnotes.xml": notes}
    _, found = read(extractor, "a.docx", make_docx(body, **parts))
    assert [(each.place, each.heading, each.body) for each in found] == [
        ("body", "Guide > Install > On Linux", "Guide\nInstall\nOn Linux\nOne\t two \nthree\n\na  | b  | \n\nbox"),
        ("", "", "a note"),
    ]  # fmt: skip


def test_a_workbook_shows_values_as_excel_does(extractor: Extractor) -> None:
    styles = (
        f'<styleSheet xmlns="{documents.S}"><numFmts><numFmt numFmtId="164" formatCode="yyyy\\-mm\\-dd hh:mm"/>'
        '<numFmt numFmtId="165" formatCode="0.0&quot; days&quot;"/></numFmts><cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>'
        '<cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="164"/><xf numFmtId="165"/></cellXfs></styleSheet>'
    )
    shared = f'<sst xmlns="{documents.S}"><si><t>one</t></si><si><r><t>t</t></r><r><t>wo</t></r><rPh><t>x</t></rPh></si></sst>'
    row = (
        '<row r="3"><c t="s"><v>1</v></c><c><v>0.30000000000000004</v></c><c s="1"><v>46054</v></c>'
        '<c s="2"><v>46054.75</v></c><c s="3"><v>2.5</v></c><c t="b"><v>1</v></c><c><f>1+1</f><v>2</v></c><c t="s"><v>9</v></c>'
        '<c t="inlineStr"><is><t>two\nlines</t></is></c></row>'
    )
    parts = {"xl/styles.xml": styles, "xl/sharedStrings.xml": shared}
    content = make_xlsx({"My row 9": row, "B": excel_row(1, "x") + excel_row(2, "y")}, **parts)
    _, found = read(extractor, "a.xlsx", content)
    assert [(each.place, each.body) for each in found] == [
        ("sheet My row 9 row 3", "two | 0.3 | 2026-02-01 | 2026-02-01 18:00:00 | 2.5 | TRUE | 2 | two lines"),
        ("sheet B row 1", "x\ny"),
    ]  # fmt: skip


def test_slides_stand_in_the_order_of_the_presentation(extractor: Extractor) -> None:
    content = documents.make_pptx([("First", "a"), ("", "b"), ("Third", "c")], {3: "a note"})
    _, found = read(extractor, "a.pptx", content)
    assert [(each.place, each.heading, each.body) for each in found] == [
        ("slide 1", "First", "First\na"),
        ("slide 2", "", "b"),
        ("slide 3", "Third", "Third\nc\na note"),
    ]


def test_sheets_and_slides_of_opendocument_have_places_too(extractor: Extractor) -> None:
    rows = (
        '<t:table xmlns:t="t" t:name="Orders"><t:table-row t:number-rows-repeated="4"><t:table-cell/></t:table-row>'
        "<t:table-row><t:table-cell><x:p xmlns:x='x'>a</x:p></t:table-cell><t:table-cell><x:p xmlns:x='x'>b<x:s x:c='2'/>c</x:p>"
        "</t:table-cell></t:table-row></t:table>"
    )
    _, found = read(extractor, "a.ods", documents.make_odf("spreadsheet", rows))
    assert [(each.place, each.body) for each in found] == [("sheet Orders row 5", "a | b c")]
    slides = '<page><p>one</p></page><page><h outline-level="2">two</h><p>text</p></page>'
    _, found = read(extractor, "a.odp", documents.make_odf("presentation", slides))
    assert [(each.place, each.body) for each in found] == [
        ("slide 1", "one"),
        ("slide 2", "two\ntext"),
    ]


def test_a_mail_says_who_wrote_what_and_names_its_attachments(extractor: Extractor) -> None:
    content = documents.make_mail("Größe", "Straße\n", "<p>the same again</p>", "größe.zip")
    _, found = read(extractor, "a.eml", content)
    assert [(each.place, each.heading, each.body) for each in found] == [
        ("", "Größe", "Größe\nFrom: Ärzte <a@example.com>\nTo: b@example.com"),
        ("body", "Größe", "Straße"),
        ("", "Größe", "Attachment: größe.zip"),
    ]
    only_page = b"Subject: =?utf-8?q?a?=\nContent-Type: text/html; charset=nonsense\n\n<p>S\xfc\xdf &amp; gut</p>\n"
    assert "Süß & gut" in text_of(extractor, "a.eml", only_page)


def test_half_a_character_costs_itself_and_not_the_mail(extractor: Extractor) -> None:
    mail = (
        b"Subject: a\nContent-Type: text/plain; charset=unicode_escape\n\nneedle \\ud800 \\u0000.\n"
    )
    _, found = read(extractor, "a.eml", mail)
    assert [each.body for each in found if each.place == "body"] == ["needle ? ."]


def test_a_note_is_one_line_that_a_database_takes(extractor: Extractor) -> None:
    content = documents.pack({"word/document.xml": "<a>\0\n</b>"})
    told = extract(extractor, "a.docx", content)
    assert isinstance(told, TextRefusal)
    assert told.note.isprintable()
    assert clean_note("a\0b\nc \ud800") == "a b c"
