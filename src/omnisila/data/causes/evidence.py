"""What stretches of scene features say in words: their evidence records and the few numbers beside them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from omnisila.data.causes.attribution import SceneSummary
from omnisila.scenes import action, face, objects, relation
from omnisila.scenes.extractor import SceneShard
from omnisila.scenes.motion import moving_area
from omnisila.scenes.windows import cut
from omnisila.schema import Evidence, FaceEvidence, ObjectEvidence, PersonEvidence, Span, TripletEvidence


class Seen(NamedTuple):
    """What was seen in some stretches of a video, and what their features measured of the view as a whole."""

    evidence: Evidence
    summary: SceneSummary


def seen_in(shards: Iterable[SceneShard], looks: Sequence[Span]) -> Seen:
    """Everything the extractors saw in some spans, with times and boxes.

    Args:
        shards: read one at a time; they may reach beyond the spans.
        looks: spans that do not overlap, in time order.
    """
    faces: list[FaceEvidence] = []
    people: list[PersonEvidence] = []
    things: list[ObjectEvidence] = []
    triplets: list[TripletEvidence] = []
    moving: list[Tensor] = []
    colours: list[Tensor] = []
    for shard in shards:
        for part in (cut(shard, look) for look in looks if look.start_s < shard.end_s and look.end_s > shard.start_s):
            layouts = part.layouts
            faces += face.evidence(part.face, layouts["face"])
            people += action.evidence(part.action, layouts["action"])
            things += objects.evidence(part.objects, layouts["objects"])
            triplets += relation.evidence(part.relation, layouts["relation"])
            if "motion" in layouts["action"].features:
                view = part.action.values[:, action.VIEW][part.action.mask[:, action.VIEW]].float()
                moving.append(moving_area(layouts["action"].read(view, "motion")))
            if "colour" in layouts["background"].features:
                colour = part.background.values[part.background.mask].float()
                colours.append(layouts["background"].read(colour, "colour"))
    return Seen(
        Evidence(faces=tuple(faces), people=tuple(people), objects=tuple(things), triplets=tuple(triplets)),
        SceneSummary(
            moving_frac=_mean(moving),
            brightness=_mean([colour[:, :3] for colour in colours]),
            flame_frac=_mean([colour[:, 6] for colour in colours]),
        ),
    )


def _mean(parts: Sequence[Tensor]) -> float | None:
    """None where no sample measured it."""
    values = torch.cat([part.flatten() for part in parts]) if parts else torch.zeros(0)
    return float(values.mean().clamp(0, 1)) if values.numel() else None
