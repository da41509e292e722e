"""Implicit-Enhanced Causal block: front-door adjustment by two attentions. Source: Omni-SILA 3.3."""

from typing import Any, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import TrainingError
from omnisila.models.layers import attend
from omnisila.models.sharded import as_held


class ImplicitEnhancedCausal(nn.Module):
    """y_iec = FFN(y_m + y_x), self-sampling and cross-sampling of the scenes. Source: Omni-SILA Eqs. (3) and (4).

    Queries p(X) and q(X) come from X, the mean of the present experts' outputs. Self-sampling looks at the fused scenes
    M = y_moe of the same window, cross-sampling at the confounder dictionary of the training set. Both are scaled by
    1/sqrt(width).
    """

    def __init__(self, width: int, centres: int, feedforward: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.p = nn.Linear(width, width)
        self.q = nn.Linear(width, width)
        self.keys_m = nn.Linear(width, width)
        self.values_m = nn.Linear(width, width)
        self.keys_c = nn.Linear(width, width)
        self.values_c = nn.Linear(width, width)
        self.dictionary = nn.Parameter(torch.randn(centres, width) * 0.02)
        self.ffn = nn.Sequential(
            nn.Linear(width, feedforward), nn.GELU(), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )

    def forward(
        self,
        x: Float[Tensor, "batch frames width"],
        y_moe: Float[Tensor, "batch frames width"],
        present: Bool[Tensor, "batch frames"],
    ) -> Float[Tensor, "batch frames width"]:
        """``present`` is false in frames where every scene is absent; they are not looked at and get zeros."""
        frames = present.shape[1]
        visible = present.unsqueeze(1) | torch.eye(frames, dtype=torch.bool, device=present.device)
        y_m = _attention(self.p(x), self.keys_m(y_moe), self.values_m(y_moe), visible)
        keys_c, values_c = self.keys_c(self.dictionary), self.values_c(self.dictionary)
        y_x = _attention(self.q(x).flatten(0, 1).unsqueeze(0), keys_c.unsqueeze(0), values_c.unsqueeze(0))
        y_iec = self.ffn(y_m + y_x.view_as(y_m))
        return y_iec * present.unsqueeze(-1)

    @torch.no_grad()
    def set_dictionary(self, centres: Float[Tensor, "centres width"]) -> None:
        """Start the dictionary from K-means centres; training moves it from there.

        Raises:
            TrainingError: another number or width of centres than the block was built for.
        """
        if centres.shape != self.dictionary.shape:
            raise TrainingError(
                f"confounder dictionary: centres of shape {tuple(centres.shape)}, wanted "
                f"{tuple(self.dictionary.shape)}. Cluster into as many centres as IECConfig says."
            )
        self.dictionary.copy_(as_held(centres, self.dictionary))


def _attention(
    queries: Float[Tensor, "batch targets width"],
    keys: Float[Tensor, "batch sources width"],
    values: Float[Tensor, "batch sources width"],
    visible: Bool[Tensor, "batch targets sources"] | None = None,
) -> Float[Tensor, "batch targets width"]:
    mask = None if visible is None else visible.unsqueeze(1)
    return attend(queries.unsqueeze(1), keys.unsqueeze(1), values.unsqueeze(1), mask).squeeze(1)


class NoIntervention(nn.Module):
    """Adds nothing to the fused scenes. Source: Omni-SILA Tables 1 and 2, "w/o IEC"."""

    def forward(
        self,
        x: Float[Tensor, "batch frames width"],
        y_moe: Float[Tensor, "batch frames width"],
        present: Bool[Tensor, "batch frames"],
    ) -> Float[Tensor, "batch frames width"]:
        return torch.zeros_like(y_moe)


def confounder_dictionary(
    x: Float[Tensor, "samples width"], centres: int = 256, seed: int = 0
) -> Float[Tensor, "centres width"]:
    """K-means centres of X over the training set. Source: Omni-SILA 3.3.

    Args:
        x: the mean of the present experts' outputs, one row a frame in which any scene is present.

    Raises:
        TrainingError: fewer samples than centres.
    """
    if len(x) < centres:
        raise TrainingError(
            f"confounder dictionary: {len(x)} embeddings for {centres} centres. "
            "Give more training windows or set IECConfig(centres=...) lower."
        )
    from sklearn.cluster import MiniBatchKMeans  # half a second that only training needs

    # scikit-learn's annotations know no number here
    clusters = MiniBatchKMeans(n_clusters=centres, batch_size=4096, n_init=cast("Any", 3), random_state=seed)
    clusters.fit(x.detach().float().cpu().numpy())
    return torch.from_numpy(clusters.cluster_centers_).to(x)


class IECConfig(Config):
    """Size of the causal block."""

    centres: int = 256
    feedforward_ratio: int = 2
    dropout: float = 0.0

    def build(self, width: int) -> ImplicitEnhancedCausal:
        return ImplicitEnhancedCausal(width, self.centres, self.feedforward_ratio * width, self.dropout)
