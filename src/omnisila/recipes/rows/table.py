"""The rows of the papers' tables, known without torch: what each leaves out of a recipe, compact or full alike."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from omnisila.errors import InputError, TrainingError, unknown
from omnisila.recipes.fields import check_fields, read_fields
from omnisila.scene_registry import SCENES

ROW = "row"  # in a file: which row it changes


class Row(NamedTuple):
    """A row of a table.

    Attributes:
        changes: fields of the published recipe, at any depth, as a file of changes gives them; None leaves a part out.
    """

    title: str
    source: str
    changes: Mapping[str, Any]


# What the option takes -> the row, the published model first.
ICM = {
    "full": Row("ICM", "Omni-SILA Table 1", {}),
    "without-sbm": Row("ICM without SBM", "Omni-SILA Tables 1, 2", {"sbm": None}),
    "without-iec": Row("ICM without IEC", "Omni-SILA Tables 1, 2", {"iec": None}),
    "without-scene-tuning": Row("ICM without scene tuning", "Omni-SILA Table 1", {"scene_tuning": None}),
    **{f"without-{scene}": Row(f"ICM without {scene}", "Omni-SILA Table 3", {"left_out": [scene]}) for scene in SCENES},
    # beyond the tables: the paper prints 8 layers and, read literally, a width of 4096
    **{
        f"experts-{layers}-layers": Row(
            f"ICM, experts of {layers} layers, width 1024", "Omni-SILA 3.2", {"expert": {"num_layers": layers}}
        )
        for layers in (4, 12)
    },
    **{
        f"experts-{width}-wide": Row(
            f"ICM, experts of 8 layers, width {width}", "Omni-SILA 3.2", {"expert": {"width": width}}
        )
        for width in (512, 2048)
    },
}
RELEASE = "release"
HAWKEYE = {
    "full": Row("Hawkeye", "Hawkeye Table 1", {}),
    RELEASE: Row("Hawkeye (release)", "the released code", {}),
    "without-asg": Row("Hawkeye without ASG", "Hawkeye Table 1", {"asg": None}),
    "without-org": Row("Hawkeye without ORG", "Hawkeye Table 1", {"org": None}),
    "without-moe": Row("Hawkeye without B-H MoE", "Hawkeye Table 1", {"moe": None, "constraint": None}),
    "without-l-bc": Row("Hawkeye without L_bc", "Hawkeye Table 1", {"constraint": None}),
    "without-pre-tuning": Row("Hawkeye without pre-tuning", "Hawkeye Table 1", {"scene_tuning": None}),
    # which outweighs the language loss
    "l-bc-as-printed": Row("Hawkeye, L_bc as printed", "Hawkeye 3.2", {"constraint": {"dimensionless": False}}),
}
BASELINES = {
    "videochat": Row("VideoChat", "Omni-SILA Table 1", {}),
    "video-chatgpt": Row("Video-ChatGPT", "Omni-SILA Table 1", {}),
    "valley": Row("Valley", "Omni-SILA Table 1", {}),
    "pandagpt": Row("PandaGPT", "Omni-SILA Table 1", {}),
    "mplug-owl": Row("mPLUG-Owl", "Omni-SILA Table 1", {}),
    "chat-univi": Row("Chat-UniVi", "Omni-SILA Table 1", {}),
    "video-llava": Row("Video-LLaVA", "Omni-SILA Table 1", {}),
}
QUERYING = "querying"  # the row of reactions that trains nothing
_MODALITIES = {"v": "visual", "a": "audio", "t": "text", "f": "fau"}
_TEXTS = {
    "clip": "CLIP", "video-llava-1": "Video-LLaVA 1", "video-llava-2": "Video-LLaVA 2", "llava": "LLaVA",
}  # fmt: skip
_TEXT = "video-llava-2"  # where Table 6 names no text: Video-LLaVA's under prompt 2


def _fusion_row(kind: str, title: str, source: str, letters: str, text: str = _TEXT) -> Row:
    streams = {_MODALITIES[at]: f"text-{text}" if at == "t" else _MODALITIES[at] for at in letters}
    return Row(title, source, {"model": {"kind": kind}, "streams": streams})


def _viper(source: str, letters: str, text: str = _TEXT) -> Row:
    words = f", {_TEXTS[text]}" if "t" in letters else ""
    return _fusion_row("viper", f"ViPER-{letters.upper()}{words}", source, letters, text)


# The changes of a row of reactions are its model and its streams: modality -> the stream that it is read from.
REACTION = {
    "baseline-fau": Row("Baseline FAU", "Table 3", {"model": {"kind": "bilstm"}, "streams": {"fau": "fau"}}),
    "baseline-vggface2": Row(
        "Baseline VGGFace2", "Table 3", {"model": {"kind": "bilstm"}, "streams": {"face": "face"}}
    ),
    **{
        f"probing-{prompt}-{activation}": Row(
            f"Probing, prompt {prompt}, {activation}",
            "Tables 3, 4",
            {"model": {"kind": "probe", "activation": activation}, "streams": {"pooled": f"pooled-{prompt}"}},
        )
        for prompt in (1, 2)
        for activation in ("linear", "relu", "leaky-relu", "tanh", "sigmoid", "gelu", "elu")
    },
    **{
        f"viper-{letters}": _viper("Table 6", letters)
        for letters in ("v", "va", "vt", "vf", "vat", "vtf", "vaf", "vatf")
    },
    **{f"viper-vatf-{text}": _viper("Tables 3, 5", "vatf", text) for text in _TEXTS},
    **{
        f"temporal-{letters}": _fusion_row("temporal-av", f"Temporal-{letters.upper()}", "beyond the paper", letters)
        for letters in ("va", "vaf", "vatf")
    },
}


def ablations(rows: Mapping[str, Row]) -> tuple[Row, ...]:
    """The rows that leave a part out: those that the compact models are measured with."""
    return tuple(row for name, row in rows.items() if name.startswith("without-"))


class RecipeChoice(NamedTuple):
    """A row, and the fields of it that a file changes."""

    row: str
    changes: dict[str, Any]


def recipe_choice(rows: Iterable[str], recipe: str, configuration: str) -> RecipeChoice:
    """A row by its name, or a file of changes.

    Args:
        rows: the published model first.
        recipe: a row's name, or a JSON file; its ``row`` says what it changes, by default the published model.
        configuration: the class that a file changes fields of; Hawkeye's release has its own.

    Raises:
        InputError: no such row, no file of changes, or changes of what a recipe does not have or to what it does not
            take.
    """
    known = tuple(rows)
    if recipe in known:
        return RecipeChoice(recipe, {})
    path = Path(recipe)
    if path.suffix != ".json":
        raise InputError(f"{unknown('recipe', recipe, known).rstrip('.')}; or give a JSON file of fields to change.")
    changes = read_fields(path, "recipe")
    row = changes.pop(ROW, known[0])
    if row not in known:
        raise InputError(f"{path}: {unknown(ROW, str(row), known)}")
    check_fields("ReleasedHawkeye" if row == RELEASE else configuration, changes, path)
    return RecipeChoice(row, changes)


def check_stages(recipe: str, tunes_scenes: bool, has_scenes: bool, until: str) -> None:
    """Whether there is what a recipe's stages need.

    Raises:
        TrainingError: there is not, or it has no stage to stop after.
    """
    if tunes_scenes and not has_scenes:
        raise TrainingError(
            f"recipe {recipe!r} begins with scene tuning. Give --scenes with its examples (omnisila prepare "
            "scene-tuning), or choose the recipe without-scene-tuning."
        )
    if until == "scene" and not tunes_scenes:
        raise TrainingError(f"recipe {recipe!r} has no scene tuning to stop after. Leave --until out.")


def reaction_row(name: str) -> Row:
    """A trained row of reactions.

    Raises:
        InputError: no such row.
    """
    if name not in REACTION:
        raise InputError(unknown(ROW, name, (QUERYING, *REACTION)))
    return REACTION[name]
