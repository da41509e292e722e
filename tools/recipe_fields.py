"""Write ``src/omnisila/recipes/fields.json``: the fields that users may change, by which mistakes are told early.

Run it when a configuration of a recipe changes; a test says so.
"""

import json
from typing import Any

from pydantic.json_schema import models_json_schema

from omnisila.recipes.fields import FILE
from omnisila.recipes.rows.baseline import BaselineTraining
from omnisila.recipes.rows.hawkeye import FullHawkeye, ReleasedHawkeye
from omnisila.recipes.rows.icm import FullICM
from omnisila.scenes.reaction.config import ReactionFeatureConfig

CONFIGURATIONS = (FullICM, FullHawkeye, ReleasedHawkeye, BaselineTraining, ReactionFeatureConfig)
_SAID = ("title", "description", "additionalProperties")  # the last where it is no schema: unknown fields are refused


def recipe_fields() -> dict[str, Any]:
    """Class -> its JSON schema, with those of the classes inside it beside it; of defaults, those that users change."""
    _, said = models_json_schema([(each, "validation") for each in CONFIGURATIONS], ref_template="{model}")
    whole = {each.__name__ for each in CONFIGURATIONS}
    return {
        name: {"properties": {field: _bare(each, name in whole) for field, each in schema["properties"].items()}}
        for name, schema in said["$defs"].items()
    }


def _bare(schema: Any, keep_default: bool = False) -> Any:
    if isinstance(schema, list):
        return [_bare(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {name for name in _SAID if not isinstance(schema.get(name), dict)}
    kept = {name: _bare(value) for name, value in schema.items() if name not in (*left_out, "default")}
    return {**kept, "default": schema["default"]} if keep_default and "default" in schema else kept


if __name__ == "__main__":
    FILE.write_text(json.dumps(recipe_fields(), indent=1) + "\n", encoding="utf-8")
