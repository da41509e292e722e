"""How a published picture network wants its pictures, as the ``preprocessor_config.json`` beside it says."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from jaxtyping import Float
from pydantic import ValidationError
from torch import Tensor

from omnisila.config import Config, first_fault
from omnisila.errors import WeightsError
from omnisila.media.transforms import Interpolation, normalise, resize_levels

FILE = "preprocessor_config.json"
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_INTERPOLATIONS: dict[int, Interpolation] = {0: "nearest", 2: "bilinear", 3: "bicubic"}  # Pillow's numbers


class Preparation(Config):
    """Size and normalisation; defaults are those of transformers' ViT."""

    height_px: int = 224
    width_px: int = 224
    mean: tuple[float, float, float] = (0.5, 0.5, 0.5)
    std: tuple[float, float, float] = (0.5, 0.5, 0.5)
    interpolation: Interpolation = "bilinear"

    @classmethod
    def beside(cls, folder: Path, size_px: int | None = None) -> Self:
        """What the folder's ``preprocessor_config.json`` says; defaults where it is silent or absent.

        Args:
            size_px: the size to take where the file names none.

        Raises:
            WeightsError: the file is there and says what no preparation of ours can do.
        """
        path = folder / FILE
        try:
            said: dict[str, Any] = json.loads(path.read_bytes()) if path.exists() else {}
            height_px, width_px = _size(said.get("size") or size_px or cls.model_fields["height_px"].default)
            stated: dict[str, Any] = {"height_px": height_px, "width_px": width_px}
            stated |= {ours: said[f"image_{ours}"] for ours in ("mean", "std") if f"image_{ours}" in said}
            if "resample" in said:
                stated["interpolation"] = _INTERPOLATIONS[said["resample"]]
            return cls.model_validate(stated)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = first_fault(error) if isinstance(error, ValidationError) else f"{type(error).__name__}: {error}"
            raise WeightsError(
                f"{path}: {reason}. Wanted size, image_mean, image_std and resample as "
                "transformers writes them; copy the file that was published with the weights."
            ) from error

    def pixels(
        self, images: Float[Tensor, "images 3 height width"], dtype: torch.dtype = torch.float32
    ) -> Float[Tensor, "images 3 new_height new_width"]:
        """Pictures with values 0..255 as the network reads them; proportions may change, nothing is cut off."""
        return levels(resize_levels(images, self.height_px, self.width_px, self.interpolation), self.mean, self.std).to(
            dtype
        )


def levels(
    images: Float[Tensor, "images 3 height width"], mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "images 3 height width"]:
    """Pictures with values 0..255, normalised by a mean and a spread that are stated for 0..1."""
    return normalise(images, [255 * value for value in mean], [255 * value for value in std])


def _size(said: Any) -> tuple[int, int]:
    if isinstance(said, int):
        return said, said
    if "shortest_edge" in said:
        return said["shortest_edge"], said["shortest_edge"]
    return said["height"], said["width"]
