"""What stretches of scene features say in words: their evidence records and the few numbers beside them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from omnisila.data.causes.attribution import SceneSummary
from omnisila.scene_registry import SCENES
from omnisila.scenes import action, objects
from omnisila.scenes.extractor import OBJECTS, SceneShard
from omnisila.scenes.motion import moving_area
from omnisila.scenes.windows import cut_shard
from omnisila.schema import Evidence, Span


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
    found: dict[str, list[Any]] = defaultdict(list)
    moving: list[Tensor] = []
    colours: list[Tensor] = []
    for shard in shards:
        for part in (
            cut_shard(shard, look) for look in looks if look.start_s < shard.end_s and look.end_s > shard.start_s
        ):
            streams, layouts = part.streams, part.layouts
            found[OBJECTS] += objects.evidence(streams[OBJECTS], layouts[OBJECTS])
            for scene in (SCENES[name] for name in SCENES if name in streams):
                for kind, records in scene.records(streams[scene.name], layouts[scene.name]):
                    found[kind] += records
            if "motion" in layouts["action"].features:
                people = streams["action"]
                view = people.values[:, action.VIEW][people.mask[:, action.VIEW]].float()
                moving.append(moving_area(layouts["action"].read(view, "motion")))
            if "colour" in layouts["background"].features:
                places = streams["background"]
                colours.append(layouts["background"].read(places.values[places.mask].float(), "colour"))
    return Seen(
        Evidence(**{kind: tuple(records) for kind, records in found.items()}),
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
