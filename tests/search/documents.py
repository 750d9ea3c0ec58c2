"""Documents of every kind, the smallest that are whole; and fifteen that hurt whoever trusts them."""

from __future__ import annotations

import base64
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from email.message import EmailMessage

W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
S = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
P = "http://schemas.openxmlformats.org/presentationml/2006/main"
A = "http://schemas.openxmlformats.org/drawingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
TYPES = '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"/>'


def pack(parts: Mapping[str, str | bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in {"[Content_Types].xml": TYPES, **parts}.items():
            archive.writestr(name, content)
    return made.getvalue()


def relations(targets: Mapping[str, tuple[str, str]]) -> str:
    shown = (
        f'<Relationship Id="{one}" Type="{R}/{kind}" Target="{target}"/>'
        for one, (kind, target) in targets.items()
    )
    return f'<Relationships xmlns="{RELATIONS}">{"".join(shown)}</Relationships>'


def word_paragraph(text: str, style: str = "") -> str:
    shown = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{shown}<w:r><w:t>{text}</w:t></w:r></w:p>"


def make_docx(body: str, **more: str) -> bytes:
    document = (
        f'<?xml version="1.0"?><w:document xmlns:w="{W}"><w:body>{body}</w:body></w:document>'
    )
    return pack({"word/document.xml": document, **more})


def make_xlsx(sheets: Mapping[str, str], **more: str) -> bytes:
    names = "".join(
        f'<sheet name="{name}" sheetId="{number}" r:id="r{number}"/>'
        for number, name in enumerate(sheets, 1)
    )
    parts = {
        "xl/workbook.xml": f'<workbook xmlns="{S}" xmlns:r="{R}"><sheets>{names}</sheets></workbook>',
        "xl/_rels/workbook.xml.rels": relations(
            {f"r{n}": ("worksheet", f"worksheets/s{n}.xml") for n, _ in enumerate(sheets, 1)}
        ),
    }
    for number, rows in enumerate(sheets.values(), 1):
        parts[f"xl/worksheets/s{number}.xml"] = (
            f'<worksheet xmlns="{S}"><sheetData>{rows}</sheetData></worksheet>'
        )
    return pack({**parts, **more})


def excel_row(number: int, *cells: str) -> str:
    shown = "".join(f'<c t="inlineStr"><is><t>{cell}</t></is></c>' for cell in cells)
    return f'<row r="{number}">{shown}</row>'


def make_pptx(slides: Sequence[tuple[str, str]], notes: Mapping[int, str] | None = None) -> bytes:
    """Title and text of each slide. The parts are numbered against the order of the presentation."""
    count = len(slides)
    parts: dict[str, str] = {
        "ppt/presentation.xml": f'<p:presentation xmlns:p="{P}" xmlns:r="{R}"><p:sldIdLst>'
        + "".join(f'<p:sldId id="{256 + n}" r:id="r{n}"/>' for n in range(1, count + 1))
        + "</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations(
            {f"r{n}": ("slide", f"slides/slide{count + 1 - n}.xml") for n in range(1, count + 1)}
        ),
    }
    for number, (title, text) in enumerate(slides, 1):
        part = count + 1 - number
        parts[f"ppt/slides/slide{part}.xml"] = _make_slide(("title", title), ("body", text))
        if notes and number in notes:
            parts[f"ppt/slides/_rels/slide{part}.xml.rels"] = relations(
                {"r1": ("notesSlide", "../notesSlides/notesSlide1.xml")}
            )
            parts["ppt/notesSlides/notesSlide1.xml"] = _make_slide(("body", notes[number]))
    return pack(parts)


def _make_slide(*shapes: tuple[str, str]) -> str:
    shown = "".join(
        f'<p:sp><p:nvSpPr><p:nvPr><p:ph type="{kind}"/></p:nvPr></p:nvSpPr>'
        f"<p:txBody><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
        for kind, text in shapes
        if text
    )
    return (
        f'<p:sld xmlns:p="{P}" xmlns:a="{A}"><p:cSld><p:spTree>{shown}</p:spTree></p:cSld></p:sld>'
    )


def make_odf(kind: str, content: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("mimetype", f"application/vnd.oasis.opendocument.{kind}")
        archive.writestr(
            "content.xml", f'<o:document-content xmlns:o="o">{content}</o:document-content>'
        )
    return made.getvalue()


def make_pdf(pages: Iterable[str], *, trailer: str = "", more: Sequence[bytes] = ()) -> bytes:
    streams = [f"BT /F1 12 Tf 50 700 Td ({text}) Tj ET".encode() for text in pages]
    return _make_pdf([(b"", stream) for stream in streams], trailer=trailer, more=more)


def _make_pdf(
    streams: Sequence[tuple[bytes, bytes]], *, trailer: str = "", more: Sequence[bytes] = ()
) -> bytes:
    count = len(streams)
    kids = " ".join(f"{4 + 2 * n} 0 R" for n in range(count))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for number, (words, stream) in enumerate(streams):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * number} 0 R"
            " /Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        objects.append(b"<< %s /Length %d >> stream\n%s\nendstream" % (words, len(stream), stream))
    return _assemble([*objects, *more], trailer)


def _assemble(objects: Sequence[bytes], trailer: str = "") -> bytes:
    made = bytearray(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, content in enumerate(objects, 1):
        places.append(len(made))
        made += b"%d 0 obj\n%s\nendobj\n" % (number, content)
    begin = len(made)
    made += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode()
    made += b"".join(b"%010d 00000 n \n" % place for place in places)
    made += f"trailer << /Root 1 0 R /Size {len(objects) + 1} {trailer} >>\nstartxref\n{begin}\n%%EOF\n".encode()
    return bytes(made)


def make_locked_pdf() -> bytes:
    """Its password is not the empty one."""
    lock = b"<< /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >>" % (b"11" * 32, b"22" * 32)
    return make_pdf(
        ["secret"], trailer=f"/Encrypt 6 0 R /ID [<{'33' * 16}> <{'33' * 16}>]", more=[lock]
    )


def make_locked_docx() -> bytes:
    """As Office writes it: the beginning of a compound file, which holds the document as one encrypted stream."""
    head = bytes.fromhex("d0cf11e0a1b11ae1") + bytes(16) + b"\x3e\x00\x03\x00\xfe\xff\x09\x00"
    return head.ljust(512, b"\xff") + "EncryptedPackage".encode("utf-16-le") + bytes(2048)


def make_mail(subject: str, text: str, page: str = "", attached: str = "") -> bytes:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "Ärzte <a@example.com>", "b@example.com"
    mail.set_content(text, charset="iso-8859-1")
    if page:
        mail.add_alternative(page, subtype="html")
    if attached:
        mail.add_attachment(b"PK\3\4", maintype="application", subtype="zip", filename=attached)
    return mail.as_bytes()


GOOD: dict[str, Callable[[], bytes]] = {
    "good.txt": lambda: "Größe: needle\n".encode("latin-1"),
    "good.md": lambda: b"# Install\n\nneedle\n",
    "good.html": lambda: b"<html><title>T</title><body><h1>Install</h1><p>needle</body></html>",
    "good.docx": lambda: make_docx(word_paragraph("Install", "Heading1") + word_paragraph("needle")),
    "good.xlsx": lambda: make_xlsx({"Orders": excel_row(12, "needle", "2")}),
    "good.pptx": lambda: make_pptx([("One", ""), ("Install", "needle")], {2: "a note"}),
    "good.pdf": lambda: make_pdf(["one", "needle"]),
    "good.odt": lambda: make_odf("text", "<h>Install</h><p>needle</p>"),
    "good.eml": lambda: make_mail("Größe", "needle", attached="größe.zip"),
}  # fmt: skip


# -- what hurts


def _repeat(block: bytes, count: int) -> bytes:
    """The block many times, deflated: a few bytes for each time, and no time to make."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    packer.compress(block)
    packer.flush(zlib.Z_FULL_FLUSH)
    once = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    return once * count + packer.flush(zlib.Z_FINISH)


def _pack_repeated(name: str, block: bytes, count: int, others: Mapping[str, str]) -> bytes:
    """An archive with one huge member, which zipfile would have to pack first."""
    packed = _repeat(block, count)
    check = 0
    for _ in range(count):
        check = zlib.crc32(block, check)
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for other, content in others.items():
            archive.writestr(other, content)
        entry = zipfile.ZipInfo(name)
        entry.compress_type = zipfile.ZIP_DEFLATED
        entry.CRC, entry.compress_size, entry.file_size = check, len(packed), len(block) * count
        entry.header_offset = made.tell()
        made.write(entry.FileHeader() + packed)
        archive.start_dir = made.tell()
        archive.filelist.append(entry)
        archive.NameToInfo[name] = entry
    return made.getvalue()


def make_bomb_docx() -> bytes:
    block = b"<w:p><w:r><w:t>aaaaaaaaaaaa</w:t></w:r></w:p>".ljust(64, b" ") * 16_384
    return _pack_repeated("word/document.xml", block, 900, {"[Content_Types].xml": TYPES})


def make_bomb_xlsx() -> bytes:
    block = b"<row><c><v>1</v></c></row>".ljust(64, b" ") * 16_384
    return _pack_repeated("xl/worksheets/sheet1.xml", block, 800, {"[Content_Types].xml": TYPES})


def make_members_docx() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("word/document.xml", f'<w:document xmlns:w="{W}"/>')
        for number in range(60_000):
            archive.writestr(zipfile.ZipInfo(f"word/media/{number}"), b"")
    return made.getvalue()


def _with_doctype(declared: str, text: str) -> bytes:
    body = f'<w:document xmlns:w="{W}"><w:body>{word_paragraph(text)}</w:body></w:document>'
    return pack({"word/document.xml": f"<!DOCTYPE a [{declared}]>{body}"})


def make_laughs_docx() -> bytes:
    entities = ['<!ENTITY a0 "ha">']
    entities += [f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10)]
    return _with_doctype("".join(entities), "&a9;")


def make_xxe_docx() -> bytes:
    return _with_doctype('<!ENTITY x SYSTEM "file:///etc/passwd">', "&x;")


def make_stream_pdf() -> bytes:
    """700 MB of instructions in 2 MB or less."""
    block = b"BT /F1 12 Tf 50 700 Td (aaaaaaaaaa) Tj ET\n".ljust(64, b" ") * 16_384
    return _make_pdf([(b"/Filter /FlateDecode", b"\x78\x9c" + _repeat(block, 700))])


def make_pages_pdf(count: int = 60_000) -> bytes:
    """Many pages, each with the same words."""
    words = b"BT /F1 12 Tf 50 700 Td (page) Tj ET"
    first = 5
    page = (
        b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R"
        b" /Resources << /Font << /F1 3 0 R >> >> >>"
    )
    kids = " ".join(f"{first + n} 0 R" for n in range(count))
    return _assemble(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< /Length %d >> stream\n%s\nendstream" % (len(words), words),
            *[page] * count,
        ]
    )


def make_deep_docx() -> bytes:
    return make_docx("<w:sdt>" * 200_000 + word_paragraph("deep") + "</w:sdt>" * 200_000)


def make_deep_mail(depth: int = 2_000) -> bytes:
    opened = [
        b'Content-Type: multipart/mixed; boundary="b%d"\n\n--b%d\n' % (level, level)
        for level in range(depth)
    ]
    closed = [b"--b%d--\n" % level for level in reversed(range(depth))]
    text = b"Content-Type: text/plain\n\ndeep\n"
    return b"".join([b"Subject: deep\n", *opened, text, *closed])


def make_subject_mail() -> bytes:
    word = base64.b64encode("é".encode() * 20).decode()
    words = "\n ".join([f"=?utf-8?b?{word}?="] * 100_000)
    return f"Subject: {words}\nFrom: a@example.com\n\nneedle\n".encode()


HOSTILE: dict[str, tuple[Callable[[], bytes], frozenset[str]]] = {
    "bomb.docx": (make_bomb_docx, frozenset({"too_large"})),
    "bomb.xlsx": (make_bomb_xlsx, frozenset({"too_large"})),
    "members.docx": (make_members_docx, frozenset({"too_large"})),
    "laughs.docx": (make_laughs_docx, frozenset({"hostile"})),
    "xxe.docx": (make_xxe_docx, frozenset({"hostile"})),
    "stream.pdf": (make_stream_pdf, frozenset({"extract_crashed", "too_large"})),
    "pages.pdf": (make_pages_pdf, frozenset({""})),
    "deep.docx": (make_deep_docx, frozenset({"hostile"})),
    "deep.html": (lambda: b"<div>" * 200_000 + b"needle", frozenset({""})),
    "attrs.html": (
        lambda: b"<p " + b" ".join(b"a%d='1'" % n for n in range(200_000)) + b">needle",
        frozenset({""}),
    ),
    "deep.json": (lambda: b"[" * 5_000_000, frozenset({""})),
    "deep.eml": (make_deep_mail, frozenset({"hostile", ""})),
    "headers.eml": (
        lambda: b"Subject: s\n" + b"X-A: " + b"a" * 16_000_000 + b"\n\nneedle\n",
        frozenset({""}),
    ),
    "subject.eml": (make_subject_mail, frozenset({""})),
    "oneline.csv": (lambda: b"a," * 20_000_000, frozenset({""})),
}
LOCKED: dict[str, Callable[[], bytes]] = {
    "locked.pdf": make_locked_pdf,
    "locked.docx": make_locked_docx,
}
