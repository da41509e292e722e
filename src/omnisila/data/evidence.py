"""What a stretch of scene features says in words: its evidence records and the few numbers beside them."""

import torch

from omnisila.data.attribution import SceneSummary
from omnisila.scenes import action, background, face, objects, relation
from omnisila.scenes.extractor import SceneShard
from omnisila.scenes.motion import SCALE_STATISTICS
from omnisila.scenes.windows import cut
from omnisila.schema import Evidence, Span

_BEFORE_AREA = list(SCALE_STATISTICS).index("moving_area")
_AREA = sum(
    list(SCALE_STATISTICS.values())[:_BEFORE_AREA]
)  # of the first scale: blocks faster than 0.05 heights a second


def span_evidence(shard: SceneShard, span: Span) -> Evidence:
    """Everything the extractors saw in a span, with times and boxes."""
    part = cut(shard, span)
    return Evidence(
        faces=face.evidence(part.face),
        people=action.evidence(part.action),
        objects=objects.evidence(part.objects),
        triplets=relation.evidence(part.relation),
    )


def span_summary(shard: SceneShard, span: Span) -> SceneSummary:
    """What the span's features measured of the view as a whole; None for what no sample of the span holds."""
    part = cut(shard, span)
    view_values, view_mask = part.action.values[:, action.VIEW].float(), part.action.mask[:, action.VIEW]
    moving = action.LAYOUT.read(view_values[view_mask], "motion")[:, _AREA].exp() - 0.01
    colour = background.LAYOUT.read(part.background.values[part.background.mask].float(), "colour")

    def mean(values: torch.Tensor) -> float | None:
        return float(values.mean().clamp(0, 1)) if values.numel() else None

    return SceneSummary(mean(moving), mean(colour[:, :3]), mean(colour[:, 6]))
