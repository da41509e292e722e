"""What Hawkeye's authors publish: the checkpoint of their scene side, and the features of a clip as two .npy files."""

import tokenize
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.errors import InputError
from omnisila.models.clip_graph import CLASSES, PREDICATES
from omnisila.models.graph_inputs import JOINTS
from omnisila.models.hawkeye_release import NUMBERS, PEOPLE, TRIPLETS, HawkeyeRelease
from omnisila.scenes.extractor import Entities, SceneInputs
from omnisila.weights.loading import load_into
from omnisila.weights.official import read_state

CHECKPOINT = "non_lora_trainables.bin"
PROBABILITIES = PREDICATES + 2 * CLASSES
_WRAPPERS = ("base_model.", "model.", "model.")  # what peft and LLaVA put before every key, outermost first
_NAMES = {  # of a part: published -> ours
    "pose_tower.pose_projector": "pose_tower.0",
    "pose_projector": "pose_tower.1",
    "scene_tower.linear": "scene_tower.linear",
    "scene_projector": "scene_tower.projector",
    "moe.routers.pose.fc1": "moe.router.0",
    "moe.routers.pose.fc2": "moe.router.2",
    "moe.clip_proj2.pose.0": "moe.out.0",
    "moe.clip_proj2.pose.1": "moe.out.1",
    "moe_projector": "projector",
}
_MESSAGE_NAMES = {"linear": "linear", "edge_attr_linear": "edge"}
_EXPERT_NAMES = {
    "attention_norm": "attention_norm",
    "attention.wq": "query",
    "attention.wk": "key",
    "attention.wv": "value",
    "attention.wo": "attention_out",
    "ffn_norm": "feedforward_norm",
    "feed_forward.w1": "gate",
    "feed_forward.w3": "up",
    "feed_forward.w2": "down",
}
# Never used by the released forward: spare tokens and tags, and a second projection.
_UNUSED = ("moe.resample_tokens.", "moe.clip_proj1.", "moe.start_tag.", "moe.end_tag.")


def load_release(model: HawkeyeRelease, path: Path) -> HawkeyeRelease:
    """Fill the scene side of a model from the authors' checkpoint; returns the model.

    The visual projector in the same file belongs to the Video-LLM and is left out here, as are tensors that their
    forward never uses.

    Args:
        path: ``non_lora_trainables.bin``, a converted copy, or the folder that holds it.

    Raises:
        WeightsError: it cannot be read, or is not the checkpoint of that network.
    """
    path = path / CHECKPOINT if (path / CHECKPOINT).exists() else path
    parts = {
        name: getattr(model, name) for name in ("pose_tower", "scene_tower", "moe", "projector")
    }  # the Video-LLM has a checkpoint of its own
    load_into(nn.ModuleDict(parts), read_state(path), path, our_name)
    return model


def our_name(key: str) -> str | None:
    """Our name of a published tensor; None for those that the scene side has no use for."""
    for wrapper in _WRAPPERS:
        key = key.removeprefix(wrapper)
    if key.startswith(("mm_projector.", *_UNUSED)):
        return None
    part, _, kind = key.rpartition(".")
    match part.split("."):
        case ["scene_tower", "conv_layers", layer, name] if name in _MESSAGE_NAMES:
            return f"scene_tower.layers.{layer}.{_MESSAGE_NAMES[name]}.{kind}"
        case ["moe", "resample_layers", expert, "0", *rest] if ".".join(rest) in _EXPERT_NAMES:
            return f"moe.experts.{expert}.{_EXPERT_NAMES['.'.join(rest)]}.{kind}"
    return f"{_NAMES[part]}.{kind}" if part in _NAMES else key


class ClipFiles(NamedTuple):
    """A clip's features as the authors publish them."""

    pose: Path
    scene: Path


def read_poses(path: Path) -> Float[Tensor, "people 17 5"]:
    """``pose_feat``: x, y, score and two tags of 17 joints; nobody gives no rows.

    Raises:
        InputError: no such file, no plain array, another shape, or values that are not finite.
    """
    return _array(path, (JOINTS, NUMBERS), "pose_feat (people, 17, 5)")


def read_triplets(path: Path) -> Float[Tensor, "triplets 353"]:
    """``scene_feat``: probabilities of 51 predicates, 151 subjects and 151 objects; no triplet gives no rows.

    Raises:
        InputError: no such file, no plain array, another shape, or values that are not finite.
    """
    return _array(path, (PROBABILITIES,), f"scene_feat (triplets, {PROBABILITIES})")


def clip_inputs(clips: Sequence[ClipFiles]) -> SceneInputs:
    """A batch of clips for ``HawkeyeRelease``, one frame each: the first five people and triplets.

    Raises:
        InputError: as ``read_poses`` and ``read_triplets``.
    """
    action = _batch_rows([read_poses(clip.pose).flatten(1) for clip in clips], PEOPLE)
    relation = _batch_rows([read_triplets(clip.scene) for clip in clips], TRIPLETS)
    return {"action": action, "relation": relation}


def _batch_rows(rows: Sequence[Float[Tensor, "_ features"]], most: int) -> Entities:
    values = torch.zeros(len(rows), 1, most, rows[0].shape[-1])
    mask = torch.zeros(len(rows), 1, most, dtype=torch.bool)
    for clip, row in enumerate(rows):
        values[clip, 0, : len(row)] = row[:most]
        mask[clip, 0, : len(row)] = True
    return Entities(values, mask)


def _array(path: Path, row: tuple[int, ...], wanted: str) -> Tensor:
    try:
        with path.open("rb") as file:
            found = np.load(file, allow_pickle=False)
    except (OSError, ValueError, EOFError, MemoryError, SyntaxError, zipfile.BadZipFile, tokenize.TokenError) as error:
        said = (getattr(error, "strerror", None) or str(error) or "damaged").splitlines()[0].rstrip(".")
        raise InputError(f"{path}: {said}. Wanted {wanted} as a plain .npy array; extract it again.") from error
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiu":
        raise InputError(f"{path}: no array of numbers. Wanted {wanted} as a plain .npy array; extract it again.")
    if found.size == 0:
        return torch.zeros(0, *row)
    if found.ndim != len(row) + 1 or found.shape[1:] != row:
        raise InputError(f"{path}: shape {found.shape}, wanted {wanted}. Give the other file, or extract it again.")
    with np.errstate(over="ignore"):
        numbers = found.astype(np.float32)
    if not np.isfinite(numbers).all():
        at = tuple(map(int, np.argwhere(~np.isfinite(numbers))[0]))
        raise InputError(f"{path}: value at {at} is {found[at]}, wanted finite numbers. Extract it again.")
    return torch.from_numpy(numbers)
