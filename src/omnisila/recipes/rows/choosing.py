"""A full recipe from a choice of the command line."""

from typing import Any

from pydantic import ValidationError

from omnisila.config import first_fault
from omnisila.errors import InputError
from omnisila.recipes.rows.table import RecipeChoice
from omnisila.recipes.shipping.full import Row, Rows
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.sem import SEMConfig

PROFILES = {"full": FullSEMConfig, "embedded": SEMConfig}


def chosen_recipe(
    rows: Rows[Row], choice: RecipeChoice, backbone: str | None = None, extractors: str | None = None
) -> Row:
    """A row with the fields that a file changes, at any depth; then another backbone or profile.

    Args:
        rows: by name.
        extractors: of ``PROFILES``.

    Raises:
        InputError: the file changes what a recipe does not have, or to what it does not take.
    """
    chosen = rows[choice.row]()
    if choice.changes:
        chosen = _changed(chosen, choice)
    if backbone is not None:
        chosen = chosen.replace(backbone=chosen.backbone.replace(source=backbone))
    if extractors is not None and not isinstance(chosen.sem, PROFILES[extractors]):
        chosen = chosen.replace(sem=PROFILES[extractors]())
    return chosen


def _changed(row: Row, choice: RecipeChoice) -> Row:
    whole = row.model_dump(mode="json")
    try:
        return type(row).model_validate(_merged(whole, choice.changes))
    except ValidationError as error:
        raise InputError(f"{choice.file}: {first_fault(error, whole)}") from error


def _merged(whole: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    def one(name: str, value: Any) -> Any:
        deeper = isinstance(value, dict) and isinstance(whole.get(name), dict)
        return _merged(whole[name], value) if deeper else value

    return {**whole, **{name: one(name, value) for name, value in changes.items()}}
