"""The first sheet of an .xlsx workbook as rows of text, read from its parts: a zip of XML files (ECMA-376)."""

import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from omnisila.errors import DataSetError

SPACE = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
LARGEST_PART_BYTES = 256 * 1024 * 1024  # unpacked: a small file can hold very much of nothing


def read_sheet_rows(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """Number and cells (column letter -> text) of every row that has any; numbers are written as in the file.

    Raises:
        DataSetError: it is missing or no workbook.
    """
    try:
        with zipfile.ZipFile(path) as parts:
            shared = [_text(item) for item in _part(parts, "xl/sharedStrings.xml").iter(f"{SPACE}si")]
            sheet = _part(parts, "xl/worksheets/sheet1.xml")
            for row in sheet.iter(f"{SPACE}row"):
                cells = {re.sub(r"\d", "", cell.attrib["r"]): _cell(cell, shared) for cell in row.iter(f"{SPACE}c")}
                if filled := {column: text for column, text in cells.items() if text}:
                    yield int(row.attrib["r"]), filled
    except FileNotFoundError:
        raise DataSetError(f"{path}: no such file. Put the workbook there.") from None
    except (OSError, zipfile.BadZipFile, ElementTree.ParseError, LookupError, ValueError) as error:
        raise DataSetError(f"{path}: no .xlsx workbook ({error}). Save it again as .xlsx.") from error


def _part(parts: zipfile.ZipFile, name: str) -> ElementTree.Element:
    if name == "xl/sharedStrings.xml" and name not in parts.namelist():
        return ElementTree.Element("none")
    if parts.getinfo(name).file_size > LARGEST_PART_BYTES:
        raise ValueError(f"{name} is larger than {LARGEST_PART_BYTES} bytes")
    return ElementTree.fromstring(parts.read(name))


def _cell(cell: ElementTree.Element, shared: list[str]) -> str:
    kind = cell.attrib.get("t")
    if kind == "inlineStr":
        return _text(cell).strip()
    value = cell.findtext(f"{SPACE}v", "")
    return (shared[int(value)] if kind == "s" and value else value).strip()


def _text(item: ElementTree.Element) -> str:
    return "".join(part.text or "" for part in item.iter(f"{SPACE}t"))
