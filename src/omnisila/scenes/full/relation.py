"""Object relation modelling of the full profile: RelTR's entities and triplets.

Without a RelTR checkpoint the embedded detector and geometric predicates stand in. Source: Omni-SILA 3.1 (x_o),
Hawkeye 3.2.
"""

from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.boxes import overlaps
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.extractor import Layout, Sampled
from omnisila.scenes.nets import visual_genome
from omnisila.scenes.nets.nanodet import Detections
from omnisila.scenes.nets.reltr import Relations, RelTR, top_triplets
from omnisila.scenes.objects import Looked, ObjectDetector, ObjectsConfig, TrackerState, follow_objects
from omnisila.scenes.relation import RelationConfig


class FullRelationConfig(Config):
    """Which of RelTR's queries are believed."""

    max_triplets: int = 5
    min_triplet_score: float = 0.3  # of subject, predicate and object each; the published inference's
    batch_size: int = 8
    objects: ObjectsConfig = ObjectsConfig(rate_hz=8.0, max_objects=16, min_score=0.5)


class RelTRScene(nn.Module):
    """RelTR's entities as objects and its likeliest triplets as entities of the scene.

    A triplet's features begin with the 353 probabilities (for Visual Genome) in the order of Hawkeye's release. Beside
    its own two states stand those of the entity queries whose boxes are nearest to its subject's and object's: the
    paper reads "entity representations".
    """

    def __init__(self, config: FullRelationConfig, net: RelTR) -> None:
        super().__init__()
        self.config, self.net = config, net
        self.rate_hz = config.objects.rate_hz
        sizes = net.config
        names, predicates = (
            _names(visual_genome.ENTITIES, sizes.entity_classes),
            _names(visual_genome.PREDICATES, sizes.predicates),
        )
        self.layout = Layout({"box": 4, "score": 1, "velocity": 2}, {"track": 1, "class": 1}, {"class": names})
        self.triplet_layout = Layout(
            {
                "predicate": sizes.predicates,
                "subject": sizes.entity_classes,
                "object": sizes.entity_classes,
                "states": 2 * sizes.width,
                "entities": 2 * sizes.width,
                "subject_box": 4,
                "object_box": 4,
                "score": 1,
            },
            {"classes": 2},
            {"classes": names, "predicate": predicates},
        )

    @torch.inference_mode()
    def look(
        self,
        images: UInt8[Tensor, "distinct height width 3"],
        copy_of: Tensor,
        times_s: list[float],
        tracker: TrackerState,
    ) -> Looked:
        pictures: list[Relations] = []
        for part in images.split(self.config.batch_size):
            pictures += [Relations(*(column.cpu() for column in found)) for found in self.net.relations(part)]
        rows = [self._rows(found) for found in pictures]
        values = torch.zeros(len(copy_of), self.config.max_triplets, self.triplet_layout.width)
        mask = torch.zeros(len(copy_of), self.config.max_triplets, dtype=torch.bool)
        for frame, index in enumerate(copy_of.tolist()):
            values[frame, : len(rows[index])] = rows[index]
            mask[frame, : len(rows[index])] = True
        found = [self._detections(pictures[index]) for index in copy_of.tolist()]
        return follow_objects(found, times_s, tracker, self.layout, self.config.objects, Sampled(values, mask))

    def _detections(self, found: Relations) -> Detections:
        scores, classes = found.entity_probabilities.max(dim=1)
        likely = (scores >= self.config.objects.min_score) & (classes > 0)  # class 0 is no class
        order = scores[likely].argsort(descending=True)
        return Detections(*(part[likely][order] for part in (found.entity_boxes_frac, scores, classes)))

    def _rows(self, found: Relations) -> Tensor:
        """The likeliest triplets as entity vectors."""
        best = top_triplets(found, self.config.max_triplets, self.config.min_triplet_score)
        near = [
            found.entity_states[overlaps(boxes, found.entity_boxes_frac).argmax(1)]
            for boxes in (best.subject_boxes_frac, best.object_boxes_frac)
        ]
        classes = torch.stack([best.subjects, best.objects], dim=1).float()
        boxes = best.subject_boxes_frac, best.object_boxes_frac
        return torch.cat([best.probabilities, best.states, *near, *boxes, best.scores[:, None], classes], dim=1)


class FullRelationExtractor(SceneExtractor):
    """RelTR's triplets, as the object source found them beside the objects."""

    def __init__(self, source: RelTRScene) -> None:
        self.layout, self.rate_hz = source.triplet_layout, source.rate_hz

    @classmethod
    def of_profile(cls, profile: Any, shared: RelTRScene | ObjectDetector) -> SceneExtractor:
        """RelTR's triplets; the embedded predicates for those who have no RelTR checkpoint."""
        if isinstance(shared, RelTRScene):
            return cls(shared)
        return RelationConfig(rate_hz=profile.relation.objects.rate_hz).build()

    def extract(self, chunk: Chunk, state: None) -> tuple[Sampled, None]:
        assert chunk.relations is not None  # by the source that it was built for
        return chunk.relations, state


def _names(published: tuple[str, ...], count: int) -> tuple[str, ...]:
    """The vocabulary's names where it is Visual Genome's, else numbers."""
    return published if len(published) == count else tuple(f"class {index}" for index in range(count))
