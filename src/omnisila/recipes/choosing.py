"""A full recipe by its row, or from a file of changes, with those of the command line."""

import json
from pathlib import Path
from typing import Any

from omnisila.errors import InputError
from omnisila.recipes.full_training import Row, Rows
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.sem import SEMConfig

ROW = "row"  # in a file: which row it changes


def chosen_recipe(rows: Rows[Row], recipe: str, backbone: str | None = None, extractors: str | None = None) -> Row:
    """A row by name, or a row with the changes of a JSON file; then another backbone or profile.

    Args:
        rows: the published model first.
        recipe: a row's name, or a file; the file's ``row`` says what it changes, by default the published model.

    Raises:
        InputError: no such row or profile, or a file that changes what a recipe does not have.
    """
    chosen = rows[recipe]() if recipe in rows else _changed(rows, Path(recipe))
    if backbone is not None:
        chosen = chosen.replace(backbone=chosen.backbone.replace(source=backbone))
    if extractors is not None:
        profiles = {"full": FullSEMConfig, "embedded": SEMConfig}
        if extractors not in profiles:
            raise InputError(f"extractors {extractors!r}. Choose full or embedded.")
        if not isinstance(chosen.sem, profiles[extractors]):
            chosen = chosen.replace(sem=profiles[extractors]())
    return chosen


def _changed(rows: Rows[Row], path: Path) -> Row:
    """A row with the fields that a file names, at any depth."""
    if path.suffix != ".json":
        raise InputError(f"recipe {str(path)!r}. Choose from: {', '.join(rows)}; or give a JSON file.")
    try:
        changes = json.loads(path.read_bytes())
        changed = rows[changes.pop(ROW, next(iter(rows)))]()
        return type(changed).model_validate(_merged(changed.model_dump(mode="json"), changes))
    except KeyError as error:
        raise InputError(f"{path}: row {error}. Choose from: {', '.join(rows)}.") from error
    except (OSError, ValueError, TypeError, AttributeError) as error:
        reason = "; ".join(str(error).splitlines()[:2])
        raise InputError(f"{path}: no recipe ({reason}). Give a JSON object of fields to change.") from error


def _merged(whole: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        deeper = isinstance(value, dict) and isinstance(whole.get(name), dict)
        return _merged(whole[name], value) if deeper else value

    return {**whole, **{name: one(name, value) for name, value in changes.items()}}
