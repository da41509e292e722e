"""One file a family of Video-LLMs; a new file here is a new family, and nothing else has to know.

The file is named like the family's ``config.model_type`` and has ``build(model, settings, footage)``. All of it::

    class Family(Backbone):                       # omnisila.models.backbone.Backbone
        template = ChatTemplate(...)              # the words around a prompt
        size_px = ..., ...                        # what every frame is brought to
        features, patches = ..., ...              # what encode gives for a frame
        def token_count(self, frames): ...        # how many video tokens a window has
        def encode(self, frames): ...             # pictures -> features: preprocess(), then the model's tower
        def project(self, visual): ...            # features -> video tokens
        # video_parts, where words stand between video tokens; deep_layers, where video tokens also enter deep layers;
        # fit_frames, shown_area and positions, where the family does not squeeze frames or counts positions otherwise

    def build(model, settings, footage):          # settings: the checkpoint's video preprocessor file
        return Family(...)
"""

import importlib
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omnisila.errors import WeightsError
from omnisila.models.baselines.table import baseline_of
from omnisila.weights.checkpoint_files import model_folder, model_type

if TYPE_CHECKING:  # importing it takes seconds, and a mistake in a checkpoint needs it not
    from omnisila.models.backbone import Backbone, Footage


def family_names() -> tuple[str, ...]:
    """The model types that there is a family for, in alphabetical order."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


def check_video_llm(source: str | Path) -> None:
    """Refuse what is no checkpoint of a family that is known; no weights are read.

    Raises:
        WeightsError: nothing there, or another family; the message lists those that are known.
    """
    if baseline_of(model_folder(source)) is None:
        check_family(model_type(source), str(source))


def check_family(found: str, source: str) -> None:
    """Refuse a checkpoint of a family that is not known.

    Raises:
        WeightsError: with the families that are.
    """
    if found not in family_names():
        raise WeightsError(
            f"{source}: model type {found!r}, wanted one of: {', '.join(family_names())}. Give such a checkpoint, "
            "or add the family as one file in omnisila/models/backbones."
        )


def build_backbone(model: Any, settings: dict[str, Any], footage: "Footage") -> "Backbone":
    """The family of a loaded model around it.

    Raises:
        WeightsError: its model type is not known, or its sizes do not fit the family.
    """
    check_family(model.config.model_type, model.config.name_or_path or type(model).__name__)
    return importlib.import_module(f"{__name__}.{model.config.model_type}").build(model, settings, footage)
