"""OpenAI's CLIP and a projector, as three baselines have them before their Llama; what differs is what they pool."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from omnisila.models.baselines import published
from omnisila.models.clip_tower import ClipTower
from omnisila.weights.checkpoint_files import model_folder
from omnisila.weights.official import read_state

CLIP_FOLDER, CLIP_HUB_ID = "clip-vit-large-patch14", "openai/clip-vit-large-patch14"
_PREFIXES = ("model.vision_tower.vision_tower.vision_model.", "model.vision_tower.vision_model.", "vision_model.")


class ClipSide(nn.Module):
    """The tower, frozen, and what maps its features to the language model's width.

    Args:
        tower: read at the layer before the last.
    """

    def __init__(self, tower: ClipTower, width: int) -> None:
        super().__init__()
        self.tower = tower
        self.projector = nn.Linear(tower.features, width)


def clip_state(state: Mapping[str, Tensor], folder: Path) -> dict[str, Tensor]:
    """A CLIP tower's tensors by transformers' names: those of the checkpoint, else of the published tower.

    Args:
        state: the checkpoint, which may hold a tower.
        folder: may have the tower in ``clip-vit-large-patch14``; else the hub is asked for it.

    Raises:
        WeightsError: no tower anywhere.
    """
    own = next((found for prefix in _PREFIXES if (found := published.below(state, prefix))), None)
    if own is None:
        beside = folder / CLIP_FOLDER
        own = published.below(read_state(beside if beside.exists() else model_folder(CLIP_HUB_ID)), "vision_model.")
    return {key: tensor for key, tensor in own.items() if not key.endswith(published.BUFFERS)}


def clip_side(state: Mapping[str, Tensor], width: int, source: Path, *, class_token: bool) -> ClipSide:
    """Both parts without values, of the sizes that the tower's tensors have.

    Raises:
        WeightsError: the tensors are not a CLIP's.
    """
    return ClipSide(ClipTower(published.clip_of(state, source), class_token=class_token), width)


def tower_keys(clip: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A tower's tensors by the names of a ``ClipSide``."""
    return published.above(clip, "tower.vision_model.")


def whole_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Any]]:
    """One folder with everything: the language model and what stands on it, the tower, the settings.

    Raises:
        WeightsError: a file is missing or damaged.
    """
    state = read_state(folder)
    language = {key: tensor for key, tensor in state.items() if not is_tower(key)}
    return language, clip_state(state, folder), published.language_settings(folder)


def is_tower(key: str) -> bool:
    """Whether a key of a whole checkpoint is the tower's."""
    return key.startswith("model.vision_tower.")
