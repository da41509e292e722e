"""Perturbations of windows by their row numbers: what a window may lack, and motion lent to stills.

Everything here removes a shortcut that small data offers: stills have no motion and clips have; a still is shown for a
second and a clip for two; one scene's features tell a data set from another.
"""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from omnisila.config import Config
from omnisila.scenes.action import VIEW
from omnisila.scenes.extractor import VISUAL
from omnisila.scenes.visual import WHOLE
from omnisila.training.bank import FeatureBank, Picked

LOOKS = (VISUAL, "background")


class PerturbConfig(Config):
    """How often; shares of the windows of a batch."""

    shorter: float = 0.5  # are seen with fewer frames
    view_lost: float = 0.15  # of moving windows lose the motion of the view
    view_lent: float = 0.6  # of stills get the motion of another window
    scene_lost: float = 0.08  # for each scene
    visual_lost: float = 0.08
    entity_lost: float = 0.1  # of the entities of scenes with several
    look_swapped: float = 0.7  # of windows whose label is an act get the look of another such window

    def build(self, bank: FeatureBank, donors: Int[Tensor, "donors"]) -> "Perturbation":
        return Perturbation(self, bank, donors)


class Perturbation:
    """Random changes of batches.

    Args:
        bank: where the motion of the donors is found.
        donors: moving windows whose motion stills may borrow, of events and calm scenes alike.
    """

    def __init__(self, config: PerturbConfig, bank: FeatureBank, donors: Int[Tensor, "donors"]) -> None:
        self.config = config
        self.lent = bank.index["action"][donors][:, :, VIEW].long()

    def __call__(
        self, picked: Picked, is_still: Bool[Tensor, "batch"], is_act: Bool[Tensor, "batch"], random: torch.Generator
    ) -> Picked:
        """A changed copy of the row numbers; 0 is put where something is lost.

        Args:
            is_still: pictures, which have no motion of their own.
            is_act: windows whose label is an act, whatever the place looks like.
        """
        config, count = self.config, len(is_still)
        places = {
            name: torch.where(is_still[:, None, None], _hold_frames(rows, picked[VISUAL]), rows)
            for name, rows in picked.items()
        }

        def some(share: float) -> Bool[Tensor, "batch"]:
            return torch.rand(count, generator=random) < share

        view = places["action"][:, :, VIEW]
        if len(self.lent):
            borrowed = self.lent[torch.randint(len(self.lent), (count,), generator=random)]
            view = torch.where((is_still & some(config.view_lent))[:, None], borrowed, view)
        view = torch.where((~is_still & some(config.view_lost))[:, None], 0, view)
        swapped = torch.nonzero(is_act & some(config.look_swapped))[:, 0]
        donors = swapped[torch.randperm(len(swapped), generator=random)]
        for name in LOOKS:
            places[name][swapped] = places[name][donors]
        for name, rows in places.items():
            if name in LOOKS:
                continue
            kept = torch.rand(count, 1, rows.shape[2], generator=random) >= config.entity_lost
            places[name] = rows * kept
        places["action"][:, :, VIEW] = view
        for name in places:
            lost = some(config.visual_lost if name == VISUAL else config.scene_lost)
            places[name] = places[name].masked_fill(lost[:, None, None], 0)
        seen = _shorter(places[VISUAL].shape[1], some(config.shorter), random)
        return {name: rows * seen[:, :, None] for name, rows in places.items()}


def _hold_frames(
    rows: Int[Tensor, "batch frames entities"], visual: Int[Tensor, "batch frames views"]
) -> Int[Tensor, "batch frames entities"]:
    """Every frame as the first one that exists: a still may be shown for as long as one likes."""
    first = (visual[:, :, WHOLE] > 0).int().argmax(dim=1)
    return rows[torch.arange(len(rows)), first].unsqueeze(1).expand_as(rows)


def _shorter(frames: int, shorter: Bool[Tensor, "batch"], random: torch.Generator) -> Bool[Tensor, "batch frames"]:
    """Which frames stay: all, or all but the context on one side or on both, as at a video's ends."""
    context = frames // 4
    side = torch.randint(3, (len(shorter),), generator=random)
    position = torch.arange(frames)
    keeps_start = (side == 1)[:, None] | (position >= context)
    keeps_end = (side == 0)[:, None] | (position < frames - context)
    return ~shorter[:, None] | (keeps_start & keeps_end)
