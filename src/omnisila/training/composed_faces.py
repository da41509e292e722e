"""Composed clips of still faces as reaction models read them: features of the stills, mixed as the plans say."""

import hashlib
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from omnisila.data.clips.compose_faces import FRAMES, ComposedFaces
from omnisila.models.reaction import ReactionBatch


class Drawn(NamedTuple):
    """A column that stills tell nothing of, such as where in a video the face stands: one value a clip, at random."""

    column: int
    low: float
    high: float


class StillFeatures(NamedTuple):
    """One row a still, by modality; each still has a face. ``drawn`` are columns that composed clips draw anew."""

    values: dict[str, Float[Tensor, "stills width"]]
    drawn: dict[str, tuple[Drawn, ...]]

    @property
    def widths(self) -> dict[str, int]:
        """Modality -> width of its values."""
        return {name: values.shape[1] for name, values in self.values.items()}

    @property
    def digest(self) -> str:
        """SHA-256 of all the numbers, and of what is drawn."""
        said = hashlib.sha256(f"{self.widths} {self.drawn}".encode())
        for rows in self.values.values():
            said.update(rows.contiguous().numpy().tobytes())
        return said.hexdigest()

    def held(self, places: Int[Tensor, "clips"]) -> ReactionBatch:
        """Each still as a clip of itself."""
        values = {name: rows[places].unsqueeze(1).expand(-1, FRAMES, -1) for name, rows in self.values.items()}
        return ReactionBatch(values, dict.fromkeys(values, torch.ones(len(places), FRAMES, dtype=torch.bool)))


class ComposedClips:
    """Clips by place, mixed when they are read."""

    def __init__(self, stills: StillFeatures, plans: ComposedFaces) -> None:
        self._stills, self._plans = stills, plans
        self.truth = torch.from_numpy(plans.truth).float()
        random = torch.Generator().manual_seed(0)
        self._chance = {
            name: torch.rand(len(plans.truth), 1, len(drawn), generator=random) for name, drawn in stills.drawn.items()
        }

    def batch(self, places: Int[Tensor, "places"]) -> ReactionBatch:
        """The clips at these places; a frame without a face is masked."""
        at = places.numpy()
        calm, shown = torch.from_numpy(self._plans.calm[at]), torch.from_numpy(self._plans.shown[at])
        weight = torch.from_numpy(self._plans.weight[at]).float().unsqueeze(-1)
        mask = torch.from_numpy(self._plans.face[at])
        values = {
            name: self._placed(name, weight * rows[shown] + (1 - weight) * rows[calm], places) * mask.unsqueeze(-1)
            for name, rows in self._stills.values.items()
        }
        return ReactionBatch(values, dict.fromkeys(values, mask))

    def _placed(
        self, name: str, values: Float[Tensor, "places frames width"], places: Int[Tensor, "places"]
    ) -> Float[Tensor, "places frames width"]:
        drawn = self._stills.drawn.get(name, ())
        for index, (column, low, high) in enumerate(drawn):
            values[:, :, column] = low + (high - low) * self._chance[name][places, :, index]
        return values
