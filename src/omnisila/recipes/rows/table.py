"""Rows of the papers' tables by name, known without torch; ``icm_full``, ``hawkeye_full``, ``reaction`` make them."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, get_args

from omnisila.errors import InputError, unknown
from omnisila.schema import SceneName

ROW = "row"  # in a file: which row it changes

# What the option takes -> the system's name in results, the published model first.
ICM = {
    "full": "ICM",
    "without-sbm": "ICM without SBM",
    "without-iec": "ICM without IEC",
    "without-scene-tuning": "ICM without scene tuning",
    **{f"without-{scene}": f"ICM without {scene}" for scene in get_args(SceneName)},
    "experts-4-layers": "ICM, experts of 4 layers, width 1024",
    "experts-12-layers": "ICM, experts of 12 layers, width 1024",
    "experts-512-wide": "ICM, experts of 8 layers, width 512",
    "experts-2048-wide": "ICM, experts of 8 layers, width 2048",
}
HAWKEYE = {
    "full": "Hawkeye",
    "release": "Hawkeye (release)",
    "without-asg": "Hawkeye without ASG",
    "without-org": "Hawkeye without ORG",
    "without-moe": "Hawkeye without B-H MoE",
    "without-l-bc": "Hawkeye without L_bc",
    "without-pre-tuning": "Hawkeye without pre-tuning",
    "l-bc-as-printed": "Hawkeye, L_bc as printed",
}
QUERYING = "querying"  # the row of reactions that trains nothing
_LETTERS = {"v": "visual", "a": "audio", "t": "text", "f": "fau"}
_TEXTS = {
    "clip": "CLIP", "video-llava-1": "Video-LLaVA 1", "video-llava-2": "Video-LLaVA 2", "llava": "LLaVA",
}  # fmt: skip
_TEXT = "video-llava-2"  # where Table 6 names no text: Video-LLaVA's under prompt 2


class ReactionRowName(NamedTuple):
    """A row of reactions: the system's name in results, and modality -> the stream that it is read from."""

    name: str
    streams: dict[str, str]


def _read(name: str, letters: str, text: str = _TEXT) -> ReactionRowName:
    streams = {_LETTERS[one]: f"text-{text}" if one == "t" else _LETTERS[one] for one in letters}
    return ReactionRowName(name, streams)


def _viper(letters: str, text: str = _TEXT) -> ReactionRowName:
    words = f", {_TEXTS[text]}" if "t" in letters else ""
    return _read(f"ViPER-{letters.upper()}{words}", letters, text)


REACTION = {
    "baseline-fau": ReactionRowName("Baseline FAU", {"fau": "fau"}),
    "baseline-vggface2": ReactionRowName("Baseline VGGFace2", {"face": "face"}),
    **{
        f"probing-{prompt}-{activation}": ReactionRowName(
            f"Probing, prompt {prompt}, {activation}", {"pooled": f"pooled-{prompt}"}
        )
        for prompt in (1, 2)
        for activation in ("linear", "relu", "leaky-relu", "tanh", "sigmoid", "gelu", "elu")
    },
    **{f"viper-{letters}": _viper(letters) for letters in ("v", "va", "vt", "vf", "vat", "vtf", "vaf", "vatf")},
    **{f"viper-vatf-{text}": _viper("vatf", text) for text in _TEXTS},
    **{f"temporal-{letters}": _read(f"Temporal-{letters.upper()}", letters) for letters in ("va", "vaf", "vatf")},
}


class RecipeChoice(NamedTuple):
    """A row, and the fields of it that a file changes."""

    row: str
    changes: dict[str, Any]
    file: Path | None = None


def recipe_choice(rows: Iterable[str], recipe: str) -> RecipeChoice:
    """A row by its name, or a file of changes.

    Args:
        rows: the published model first.
        recipe: a row's name, or a JSON file; its ``row`` says what it changes, by default the published model.

    Raises:
        InputError: no such row, or no file of changes.
    """
    known = tuple(rows)
    if recipe in known:
        return RecipeChoice(recipe, {})
    path = Path(recipe)
    if path.suffix != ".json":
        raise InputError(f"{unknown('recipe', recipe, known).rstrip('.')}; or give a JSON file of fields to change.")
    try:
        changes = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: no recipe ({error}). Give a JSON object of fields to change.") from error
    if not isinstance(changes, dict):
        raise InputError(f"{path}: no recipe but a {type(changes).__name__}. Give a JSON object of fields to change.")
    row = changes.pop(ROW, known[0])
    if row not in known:
        raise InputError(f"{path}: {unknown(ROW, str(row), known)}")
    return RecipeChoice(row, changes, path)


def reaction_row(name: str) -> ReactionRowName:
    """A trained row of reactions.

    Raises:
        InputError: no such row.
    """
    if name not in REACTION:
        raise InputError(unknown(ROW, name, (QUERYING, *REACTION)))
    return REACTION[name]
