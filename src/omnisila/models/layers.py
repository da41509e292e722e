"""Parts that several models share: standardisation, masked pooling, attention and the encoder layer."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.errors import TrainingError

SMALLEST_DEVIATION = 1e-6


def masked_mean(
    values: Float[Tensor, "*rest items width"], mask: Bool[Tensor, "*rest items"]
) -> Float[Tensor, "*rest width"]:
    """Mean over the items that are present; zeros where none is."""
    weights = mask.unsqueeze(-1).to(values.dtype)
    return (values * weights).sum(-2) / weights.sum(-2).clamp(min=1.0)


def masked_softmax(
    scores: Float[Tensor, "*rest items"], mask: Bool[Tensor, "*#rest items"]
) -> Float[Tensor, "*rest items"]:
    """Softmax over the items that are present, in float32: exactly 0 for absent ones, all zeros where none is."""
    weights = scores.float().masked_fill(~mask, torch.finfo(torch.float32).min).softmax(-1)
    return weights * mask


def attend(
    queries: Float[Tensor, "batch heads targets depth"],
    keys: Float[Tensor, "batch heads sources depth"],
    values: Float[Tensor, "batch heads sources depth"],
    visible: Bool[Tensor, "batch #heads #targets sources"] | None = None,
    dropout: float = 0.0,
    scale: float | None = None,
) -> Float[Tensor, "batch heads targets depth"]:
    """Scaled dot-product attention; every target must see at least one source.

    Computes in float32, also under autocast: on CPUs the backward pass of bfloat16 attention is several times slower.
    The result has the values' own precision.
    """
    dtype = values.dtype
    with torch.autocast(queries.device.type, enabled=False):
        queries, keys, values = queries.float(), keys.float(), values.float()
        mixed = F.scaled_dot_product_attention(queries, keys, values, visible, dropout_p=dropout, scale=scale)
    return mixed.to(dtype)


def seeing_present(present: Bool[Tensor, "batch tokens"]) -> Bool[Tensor, "batch tokens tokens"]:
    """Every token may look at all that are present; an absent one also at itself, so that no row is empty."""
    return present.unsqueeze(1) | torch.eye(present.shape[1], dtype=torch.bool, device=present.device)


class Standardise(nn.Module):
    """Shift and scale each feature by its mean and deviation over the training set, then clip.

    Statistics come from the entries that are not zero: entities of two kinds in one scene (people and the moving view)
    have zeros in each other's features, which would hide how much these vary. Flags, which are one value or zero, are
    measured over all entries. A zero stays zero. Before ``fit`` only the clipping acts, which keeps outliers of new
    footage bounded.

    Args:
        limit: largest absolute value let through, in deviations.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, features: int, limit: float = 6.0) -> None:
        super().__init__()
        self.limit = limit
        self.register_buffer("mean", torch.zeros(features))
        self.register_buffer("deviation", torch.ones(features))

    @torch.no_grad()
    def fit(self, samples: Float[Tensor, "samples features"]) -> None:
        """Take mean and deviation from training vectors; constant features keep deviation 1.

        Raises:
            TrainingError: no samples, or values that are not finite.
        """
        if not len(samples) or not samples.isfinite().all():
            raise TrainingError(
                f"standardisation: {len(samples)} training vectors"
                f"{', some not finite' if len(samples) else ''}. Give at least one, all finite; extract features again."
            )
        mean, deviation = _statistics(samples, samples != 0)
        flag = deviation < SMALLEST_DEVIATION
        mean_of_all, deviation_of_all = _statistics(samples, torch.ones_like(samples, dtype=torch.bool))
        deviation_of_all = deviation_of_all.where(deviation_of_all >= SMALLEST_DEVIATION, 1.0)
        self.mean.copy_(mean_of_all.where(flag, mean))
        self.deviation.copy_(deviation_of_all.where(flag, deviation))

    def forward(self, values: Float[Tensor, "*rest features"]) -> Float[Tensor, "*rest features"]:
        standardised = ((values - self.mean) / self.deviation).clamp(-self.limit, self.limit)
        # a zero means "not measured for this kind of entity": it must not read as an extreme value
        return (standardised * (values != 0)).to(self.mean.dtype)


class FeatureDropout(nn.Module):
    """Dropout of single features over a whole window: what one frame loses, no other frame may tell."""

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, values: Float[Tensor, "batch *rest features"]) -> Float[Tensor, "batch *rest features"]:
        if not self.training or self.probability == 0:
            return values
        keep = 1 - self.probability
        kept = torch.rand(len(values), *[1] * (values.ndim - 2), values.shape[-1], device=values.device) < keep
        return values * (kept / keep)


def _statistics(
    samples: Float[Tensor, "samples features"], counted: Bool[Tensor, "samples features"]
) -> tuple[Float[Tensor, "features"], Float[Tensor, "features"]]:
    """Mean and deviation of each feature over the entries that count; zeros where none does."""
    count = counted.sum(0).clamp(min=1)
    mean = (samples * counted).sum(0, dtype=torch.float64) / count
    variance = ((samples - mean).square() * counted).sum(0, dtype=torch.float64) / count
    return mean, variance.sqrt()


class MeanPooling(nn.Module):
    """Mean over present entities; zeros where none is."""

    def forward(
        self, values: Float[Tensor, "*rest entities width"], mask: Bool[Tensor, "*rest entities"]
    ) -> Float[Tensor, "*rest width"]:
        return masked_mean(values, mask)


class QueryPooling(nn.Module):
    """Learned queries, one a head, choose among present entities; zeros where none is."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.scores = nn.Linear(width, num_heads)
        self.values = nn.Linear(width, width)

    def forward(
        self, values: Float[Tensor, "*rest entities width"], mask: Bool[Tensor, "*rest entities"]
    ) -> Float[Tensor, "*rest width"]:
        weights = masked_softmax(self.scores(values).transpose(-1, -2), mask.unsqueeze(-2))
        parts = self.values(values).unflatten(-1, (weights.shape[-2], -1))
        return torch.einsum("...he,...ehd->...hd", weights.to(parts.dtype), parts).flatten(-2)


class EncoderLayer(nn.Module):
    """A pre-norm transformer layer with one matrix product for queries, keys and values."""

    def __init__(self, width: int, num_heads: int, feedforward: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.dropout = dropout
        self.attention_norm = nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        self.feedforward_norm = nn.LayerNorm(width)
        self.up = nn.Linear(width, feedforward)
        self.down = nn.Linear(feedforward, width)

    def forward(
        self, states: Float[Tensor, "batch frames width"], visible: Bool[Tensor, "batch frames frames"]
    ) -> Float[Tensor, "batch frames width"]:
        """``visible[b, i, j]`` says whether frame i may look at frame j; each frame must see at least one."""
        dropout = self.dropout if self.training else 0.0
        joint = self.queries_keys_values(self.attention_norm(states)).unflatten(-1, (3, self.num_heads, -1))
        queries, keys, values = joint.permute(2, 0, 3, 1, 4)
        mixed = attend(queries, keys, values, visible.unsqueeze(1), dropout).transpose(1, 2).flatten(-2)
        states = states + F.dropout(self.attention_out(mixed), dropout)
        inner = F.gelu(self.up(self.feedforward_norm(states)), approximate="tanh")
        return states + F.dropout(self.down(inner), dropout)
