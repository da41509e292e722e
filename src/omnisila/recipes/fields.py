"""What a file of fields may say, known without torch: ``fields.json``, which ``tools/recipe_fields.py`` writes."""

import json
from functools import reduce
from operator import or_
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, create_model

from omnisila.config import Frozen, first_fault
from omnisila.errors import InputError
from omnisila.records import strict_json
from omnisila.scene_registry import SceneName

FILE = Path(__file__).with_name("fields.json")
_FORMATS = {"scene": SceneName}
_PLAIN = {"number": float, "integer": int, "string": str, "boolean": bool, "null": None}
_BOUNDS = {"exclusiveMinimum": "gt", "minimum": "ge", "exclusiveMaximum": "lt", "maximum": "le"}


def read_fields(file: Path, what: str) -> dict[str, Any]:
    """The content of a file of fields.

    Raises:
        InputError: it is none.
    """
    try:
        content = strict_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: no {what} ({error}). Give a JSON object of fields to change.") from error
    if not isinstance(content, dict):
        raise InputError(f"{file}: no {what} but a {type(content).__name__}. Give a JSON object of fields to change.")
    return content


def check_fields(configuration: str, content: Any, file: Path) -> None:
    """Whether what a file says are fields of a configuration, at any depth, with values that they take.

    Raises:
        InputError: with the first that is not.
    """
    known = json.loads(FILE.read_bytes())
    whole = {name: field.get("default") for name, field in known[configuration]["properties"].items()}
    try:
        TypeAdapter(_type_of(known[configuration], known)).validate_python(content)
    except ValidationError as error:
        raise InputError(f"{file}: {first_fault(error, whole)}") from None


def _type_of(schema: dict[str, Any], known: dict[str, Any]) -> Any:
    """The type that a JSON schema is of; no field need be given, for a file changes some."""
    if "$ref" in schema:
        return _type_of(known[schema["$ref"]], known)
    if "anyOf" in schema:
        return reduce(or_, (_type_of(each, known) for each in schema["anyOf"]))
    if values := schema.get("enum", [schema["const"]] if "const" in schema else None):
        return Literal[tuple(values)]
    if "properties" in schema:
        fields: dict[str, Any] = {name: (_type_of(each, known), None) for name, each in schema["properties"].items()}
        return create_model("Fields", __base__=Frozen, **fields)
    if schema["type"] == "object":
        return dict[str, _type_of(schema["additionalProperties"], known)]
    if schema["type"] == "array":
        each = [_type_of(item, known) for item in schema.get("prefixItems", ())]
        return tuple[tuple(each or [_type_of(schema["items"], known), ...])]  # type: ignore[misc]
    plain = _FORMATS.get(schema.get("format", ""), _PLAIN[schema["type"]])
    bounds: dict[str, Any] = {_BOUNDS[name]: value for name, value in schema.items() if name in _BOUNDS}
    return Annotated[plain, Field(**bounds)] if bounds else plain
