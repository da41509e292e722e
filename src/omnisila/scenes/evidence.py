"""What the extractors saw in a stretch of video, as records that people can read."""

from omnisila.scenes import action, face, objects, relation
from omnisila.scenes.extractor import SceneShard
from omnisila.schema import Evidence


def evidence_of(shard: SceneShard) -> Evidence:
    """Everything seen in a shard, each scene at its own rate, in time order."""
    return Evidence(
        faces=face.evidence(shard.face),
        people=action.evidence(shard.action),
        objects=objects.evidence(shard.objects),
        triplets=relation.evidence(shard.relation),
    )


def thinned(evidence: Evidence, times_s: list[float]) -> Evidence:
    """Only what was seen at the sample of each kind nearest to one of the times."""

    def near(items: tuple) -> tuple:
        have = sorted({item.time_s for item in items})
        kept = {min(have, key=lambda have_s: abs(have_s - time_s)) for time_s in times_s} if have else set()
        return tuple(item for item in items if item.time_s in kept)

    return Evidence(
        faces=near(evidence.faces),
        people=near(evidence.people),
        objects=near(evidence.objects),
        triplets=near(evidence.triplets),
    )
