"""What models of emotional reactions read: per-frame streams of several modalities, each with a mask.

Source: emotional-reaction paper 4.3 and 5.1; widths as ViPER's features have them.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.errors import InputError
from omnisila.labels import REACTION
from omnisila.scenes.reaction.clip import Modality

FRAMES = 32  # emotional-reaction paper 5.1
EMOTIONS = len(REACTION.labels)
# 20 action units and 7 expressions, and 5 zeros so that the width divides by the Perceiver's 8 heads
WIDTHS = {"visual": 768, "audio": 512, "text": 768, "fau": 32}


class ReactionBatch(NamedTuple):
    """Clips side by side: of each modality its values, and the frames on which it is there (a face, a sound track)."""

    values: dict[str, Float[Tensor, "batch frames width"]]
    masks: dict[str, Bool[Tensor, "batch frames"]]

    def to(self, device: torch.device) -> "ReactionBatch":
        """The same clips in float32 on a device."""
        return ReactionBatch(
            {name: values.to(device, torch.float32) for name, values in self.values.items()},
            {name: mask.to(device) for name, mask in self.masks.items()},
        )


class ReactionModel(nn.Module):
    """Base of what maps a batch of clips to one column an emotion, in the label set's order.

    Args:
        widths: modality -> width of its values, in the order in which the model reads them.
    """

    def __init__(self, widths: Mapping[str, int]) -> None:
        super().__init__()
        self.widths = dict(widths)

    def there(self, batch: ReactionBatch) -> Bool[Tensor, "batch modalities frames"]:
        """Where each of the model's modalities is there.

        Raises:
            InputError: the batch lacks one, or has it at another width.
        """
        for name, wanted in self.widths.items():
            found = batch.values[name].shape[-1] if name in batch.values else None
            if found != wanted:
                came = f"no modality {name!r}" if found is None else f"modality {name!r} of width {found}"
                raise InputError(
                    f"reaction features: {came}, wanted {wanted} numbers a frame. Extract with the profile that the "
                    "model was trained on, or choose a row without this modality."
                )
        return torch.stack([batch.masks[name] for name in self.widths], dim=1)

    def read(self, batch: ReactionBatch, name: str) -> Float[Tensor, "batch frames width"]:
        """A modality's values, zero where it is missing, whatever stood in its place."""
        return batch.values[name].where(batch.masks[name].unsqueeze(-1), 0.0)

    def side_by_side(self, batch: ReactionBatch) -> Float[Tensor, "batch frames token"]:
        """All of the model's modalities of each frame in one vector."""
        return torch.cat([self.read(batch, name) for name in self.widths], dim=-1)

    @torch.inference_mode()
    def intensities(self, batch: ReactionBatch) -> Float[Tensor, "batch emotions"]:
        """What is reported of clips: the outputs in evaluation mode, clipped to [0, 1], on the processor."""
        was_training, device = self.training, next(self.parameters()).device
        found = self.eval()(batch.to(device)).float().clamp(0, 1).cpu()
        self.train(was_training)
        return found

    def fit_standardisation(self, batch: ReactionBatch) -> None:
        """Take mean and spread of the features from training clips; by default a model needs none."""


def stack_clips(clips: Sequence[Mapping[str, Modality]], names: Iterable[str]) -> ReactionBatch:
    """Clips as extractors give them, side by side in those modalities; others are left out.

    Raises:
        InputError: a clip lacks one of them.
    """
    wanted = tuple(names)
    for place, clip in enumerate(clips):
        lacking = [name for name in wanted if name not in clip]
        if lacking:
            raise InputError(
                f"clip {place}: no {', '.join(lacking)} among {', '.join(clip)}. Extract it; where it is absent it is "
                "all masked."
            )
    return ReactionBatch(
        {name: torch.stack([clip[name].values for clip in clips]) for name in wanted},
        {name: torch.stack([clip[name].mask for clip in clips]) for name in wanted},
    )
