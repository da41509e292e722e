"""``docs/report_json.md`` says what the records say: each record, each field in its order, each type."""

import re
from pathlib import Path
from typing import Any

from omnisila.schema import SCHEMA_VERSION, Analysis

PAGE = (Path(__file__).parents[3] / "docs" / "report_json.md").read_text(encoding="utf-8")
SCHEMA = Analysis.model_json_schema()
RECORDS = {"Analysis": SCHEMA, **SCHEMA["$defs"]}


def words(field: dict[str, Any]) -> str:
    """A field's type as the page writes it."""
    if "$ref" in field:
        name = field["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in field:
        return " or ".join(words(one) for one in field["anyOf"])
    if "const" in field:
        return str(field["const"])
    match field["type"]:
        case "array":
            return f"list of {words(field['items'])}"
        case "object":
            return f"object of {words(field['additionalProperties'])}"
        case "number" if "maximum" in field:
            return f"number {field['minimum']:g} to {field['maximum']:g}"
        case "number" if "minimum" in field:
            return f"number ≥ {field['minimum']:g}"
        case "string":
            return "text"
        case other:
            return other


def test_every_record_is_documented_field_by_field() -> None:
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
    assert set(sections) == set(RECORDS)
    for name, section in sections.items():
        rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+?) \|$", section, re.MULTILINE)
        expected = [(field, words(described)) for field, described in RECORDS[name]["properties"].items()]
        assert [(field, kind) for field, kind, _ in rows] == expected, name


def test_the_page_names_the_version() -> None:
    assert f"**Schema version {SCHEMA_VERSION}.**" in PAGE
