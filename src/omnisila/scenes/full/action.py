"""Human action modelling of the full profile: poses, tags and pooled heatmaps of HigherHRNet.

Source: Omni-SILA 3.1 (x_a), Hawkeye 3.1.
"""

from typing import Any

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.action import MAX_PEOPLE
from omnisila.scenes.boxes import areas
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.extractor import Layout, Sampled
from omnisila.scenes.nets.higher_hrnet import ENCODING, HigherHRNet, People
from omnisila.scenes.nets.nanodet import Detections
from omnisila.scenes.nets.pose_grouping import JOINTS
from omnisila.scenes.objects import ObjectsConfig, TrackerState, follow_tracks

LAYOUT = Layout(
    {
        "box": 4,  # around the joints
        "score": 1,
        "joints": 3 * JOINTS,  # x, y in frame fractions, score
        "tags": 2 * JOINTS,  # of the picture, and of its mirror image
        "heatmap": ENCODING,
    },
    {"track": 1},
)


class FullActionConfig(Config):
    """How poses are found and followed."""

    flip_test: bool = False  # twice the time
    min_score: float = 0.1  # mean of a person's 17 joints
    margin_frac: float = 0.1  # of a box beyond its joints, on every side
    tracking: ObjectsConfig = ObjectsConfig(min_overlap=0.2, max_misses=4)


class FullActionExtractor(nn.Module, SceneExtractor):
    """Entities: up to five people, the largest first. The network is bottom up, so no detector decides who is seen."""

    layout = LAYOUT

    def __init__(self, config: FullActionConfig, pose: HigherHRNet) -> None:
        super().__init__()
        self.config, self.pose = config, pose

    @classmethod
    def of_profile(cls, profile: Any, shared: Any) -> "FullActionExtractor":
        """The extractor with its weights.

        Raises:
            WeightsError: HigherHRNet's checkpoint is missing, damaged, or another network.
        """
        pose = HigherHRNet.from_official(profile.checkpoints.pose_file, profile.pose_net).to(profile.torch_dtype)
        return cls(profile.action, pose).to(profile.torch_device)

    def start(self, before: TrackerState | None = None) -> TrackerState:
        return TrackerState(next_number=before.next_number if before else 0)

    def extract(self, chunk: Chunk, state: TrackerState) -> tuple[Sampled, TrackerState]:
        poses = self.detect(chunk.images)
        values, mask, state = self([poses[i] for i in chunk.copy_of], chunk.times_s, state)
        return Sampled(values, mask), state

    def detect(self, images: UInt8[Tensor, "distinct height width 3"]) -> list[People]:
        return self.pose.detect(images, self.config.flip_test)

    def forward(
        self, found: list[People], times_s: list[float], state: TrackerState
    ) -> tuple[Float[Tensor, "frames 5 width"], Bool[Tensor, "frames 5"], TrackerState]:
        """People of consecutive frames, numbered by track.

        Args:
            found: of each frame; a picture shown twice may be the same object.
            state: what the frames before these left behind.
        """
        values = torch.zeros(len(found), MAX_PEOPLE, LAYOUT.width)
        mask = torch.zeros(len(found), MAX_PEOPLE, dtype=torch.bool)
        for frame, (people, time_s) in enumerate(zip(found, times_s, strict=True)):
            people = People(*(part[people.score >= self.config.min_score] for part in people))
            boxes = around(people.joints, self.config.margin_frac)
            detections = Detections(boxes, people.score, torch.zeros(len(boxes), dtype=torch.long))
            state = follow_tracks(state, detections, time_s, self.config.tracking)
            numbers = torch.tensor([float(track.number) for track in state.tracks[: len(boxes)]])  # in their order
            largest = (areas(boxes) * people.score).argsort(descending=True)[:MAX_PEOPLE]
            rows = values[frame, : len(largest)]
            LAYOUT.read(rows, "box").copy_(boxes[largest])
            LAYOUT.read(rows, "score").copy_(people.score[largest, None])
            LAYOUT.read(rows, "joints").copy_(people.joints[largest, :, :3].flatten(1))
            LAYOUT.read(rows, "tags").copy_(people.joints[largest, :, 3:].flatten(1))
            LAYOUT.read(rows, "heatmap").copy_(people.encoding[largest])
            LAYOUT.read(rows, "track").copy_(numbers[largest, None])
            mask[frame, : len(largest)] = True
        return values, mask, state


def around(joints: Float[Tensor, "people 17 5"], margin_frac: float) -> Float[Tensor, "people 4"]:
    """The box around each person's joints, inside the frame; joints the network did not see do not count."""
    unseen = joints[..., 2:3] <= 0
    low = joints[..., :2].masked_fill(unseen, torch.inf).amin(1)
    high = joints[..., :2].masked_fill(unseen, -torch.inf).amax(1)
    margin = margin_frac * (high - low)
    return torch.cat([low - margin, high + margin], dim=1).clamp(0, 1)
