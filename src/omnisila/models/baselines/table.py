"""The Video-LLMs of the papers' tables that are opened from their authors' files, and how such files are known.

Nothing here needs torch. Video-LLaVA is a family of ``models/backbones``: its port to transformers is published.
"""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

from omnisila.errors import WeightsError
from omnisila.weights.checkpoint_files import model_folder, stated_type


class Baseline(NamedTuple):
    """One system.

    Attributes:
        mark: a file that its folder has and no other's; or the model type that its ``config.json`` names.
    """

    title: str
    mark: str


# The module in this folder -> the system, in the order of the papers' tables.
BASELINES = {
    "videochat": Baseline("VideoChat", "eva_vit_g.pth"),
    "video_chatgpt": Baseline("Video-ChatGPT", "video_chatgpt-7B.bin"),
    "valley": Baseline("Valley", "valley"),
    "pandagpt": Baseline("PandaGPT", "imagebind_huge.pth"),
    "mplug_owl": Baseline("mPLUG-Owl", "mplug-owl"),
    "chat_univi": Baseline("Chat-UniVi", "ChatUniVi"),
}


def baseline_of(folder: Path) -> str | None:
    """Which of ``BASELINES`` a folder holds; None for anything else."""
    kind = stated_type(folder)
    marked = (name for name, known in BASELINES.items() if known.mark == kind or (folder / known.mark).is_file())
    return next(marked, None)


def check_baseline(name: str, source: str) -> None:
    """Refuse a checkpoint of another model than the baseline of that name, such as ``video-chatgpt``.

    Raises:
        WeightsError: it is one, or nothing is there.
    """
    folder = model_folder(source)
    found = baseline_of(folder) or stated_type(folder)
    if found != name.replace("-", "_"):
        raise WeightsError(
            f"{source}: files of {found or 'no model that is known'}, wanted those of {name}. Give the folder of its "
            "authors' files."
        )


def load_baseline(name: str, folder: Path, dtype: Any, device: Any) -> Any:
    """The system as a ``TransformersVideoLLM``, in evaluation mode.

    Raises:
        WeightsError: files are missing or damaged, or those of another model.
    """
    return importlib.import_module(f"{__package__}.{name}").load(folder, dtype).to(device).eval()
