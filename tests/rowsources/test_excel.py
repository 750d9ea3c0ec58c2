"""Rows out of Excel: a workbook of the smallest kind, written here part by part."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from farends.errors import ProtocolViolation, TooLarge
from tests.rowsources.held_folder import load, places, read_all

pytestmark = pytest.mark.django_db

PARTS = {
    "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="xml" ContentType="application/xml"/><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/xl/workbook.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override PartName="/xl/styles.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.styles+xml"/></Types>',
    "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": '<workbook xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main" xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><sheets><sheet name="Orders" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/worksheet" Target="worksheets/sheet1.xml"/><Relationship Id="rId2" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/styles" Target="styles.xml"/></Relationships>',
    "xl/styles.xml": '<styleSheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><cellXfs count="2"><xf numFmtId="0"/><xf numFmtId="14"/></cellXfs></styleSheet>',
}
SHEET = '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>{}</sheetData></worksheet>'
ROWS = (
    '<row r="1"><c r="A1" t="inlineStr"><is><t>id</t></is></c><c r="B1" t="inlineStr"><is><t>price</t></is></c>'
    '<c r="C1" t="inlineStr"><is><t>day</t></is></c><c r="D1" t="inlineStr"><is><t>code</t></is></c></row>'
    '<row r="2"><c r="A2"><v>1</v></c><c r="B2"><v>0.30000000000000004</v></c><c r="C2" s="1"><v>46054</v></c>'
    '<c r="D2" t="inlineStr"><is><t>007</t></is></c></row>'
    '<row r="4"><c r="A4"><f>1+1</f><v>2</v></c><c r="D4" t="inlineStr"><is><t>a "b", c</t></is></c></row>'
)


def write(path: Path, rows: str) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, text in PARTS.items():
            made.writestr(name, text)
        made.writestr("xl/worksheets/sheet1.xml", SHEET.format(rows))


def test_numbers_days_texts_and_values_of_formulas_are_as_excel_shows_them(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", ROWS)
    entity, chunks = read_all(tmp_path, {"path": "a.xlsx", "sheet": "Orders"})
    assert [column.type for column in entity.columns] == ["bigint", "numeric", "date", "text"]
    assert load(entity, chunks) == [
        ("1", "0.3", "2026-02-01", "007"),
        ("2", None, None, 'a "b", c'),
    ]
    assert [line for _, line in places(chunks)] == [2, 4]


def test_what_is_no_workbook_or_has_no_such_sheet_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.xlsx").write_text("id,name\n1,a\n")
    with pytest.raises(ProtocolViolation, match=r"a\.xlsx cannot be read as xlsx"):
        read_all(tmp_path, {"path": "a.xlsx"})
    write(tmp_path / "a.xlsx", ROWS)
    with pytest.raises(ProtocolViolation, match="it has no sheet Sheet9; it has Orders"):
        read_all(tmp_path, {"path": "a.xlsx", "sheet": "Sheet9"})


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "a.xlsx", ROWS)
    with (
        zipfile.ZipFile(tmp_path / "a.xlsx", "a", zipfile.ZIP_DEFLATED) as made,
        made.open("xl/bomb.xml", "w", force_zip64=True) as part,
    ):
        for _ in range(1_100):
            part.write(bytes(1 << 20))
    with pytest.raises(TooLarge, match="more memory"):
        read_all(tmp_path, {"path": "a.xlsx"})
