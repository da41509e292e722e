"""Human action modelling: poses of tracked people, how they move and stand to each other, and the view's motion.

Source: Omni-SILA 3.1 (x_a); MoveNet on person boxes instead of HigherHRNet, and one more entity for the motion of the
whole view (decision D10).
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.boxes import box_record, overlaps
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.crops import frame_pixels, square_crops, squares
from omnisila.scenes.extractor import Layout, Sampled, SceneStream
from omnisila.scenes.motion import MotionConfig, SampledMotion
from omnisila.scenes.nets.movenet import EMBEDDING, INPUT_PX, JOINTS, MoveNet
from omnisila.scenes.objects import PERSON, Track
from omnisila.schema import JointEvidence, PersonEvidence

JOINT_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
WRISTS, HIPS = (9, 10), (11, 12)
MAX_PEOPLE = 5
VIEW = MAX_PEOPLE  # the slot of the entity that stands for the whole view

LAYOUT = Layout(
    {
        "box": 4,
        "score": 1,
        "joints": 3 * JOINTS,  # x, y in frame fractions, score
        "pose": 2 * JOINTS,  # joints from the box's centre, in box heights
        "velocity": 2 * JOINTS,  # box heights per second since the same person's last sample
        "dynamics": 6,  # tracked?, mean and fastest joint, fastest wrist, change of mean speed, centre speed
        "neighbour": 4,  # is there one?, distance in box heights, approach in box heights per second, overlap
        "hands": 4,  # wrist to neighbour, wrist to own hip, wrist to nearest thing (box heights), is there a thing?
        "embedding": EMBEDDING,
        "motion": MotionConfig().width,  # of the whole view; people have zeros
        "is_view": 1,
    },
    {"track": 1},
)
FAR = 5.0  # stands for "no one near": distances are cut here


class ActionConfig(Config):
    """Poses per second and how people are cut."""

    rate_hz: float = 4.0
    crop_margin: float = 1.25
    min_height_frac: float = 0.08  # smaller people have no readable pose
    batch_size: int = 32
    motion: MotionConfig = MotionConfig()

    def build(self) -> "ActionExtractor":
        return ActionExtractor(self, MoveNet.pretrained())


class Pose(NamedTuple):
    """One person's joints at one time, in frame heights from the top left, so that lengths are isotropic."""

    track: int
    time_s: float
    joints: Float[Tensor, "17 2"]
    height: float
    speed: float


class ActionState(NamedTuple):
    """The last pose of every person still followed."""

    poses: tuple[Pose, ...] = ()


class ActionExtractor(nn.Module, SceneExtractor):
    """Entities: up to five people, the largest first, then the view."""

    layout = LAYOUT

    def __init__(self, config: ActionConfig, pose: MoveNet) -> None:
        super().__init__()
        self.config, self.pose = config, pose

    @classmethod
    def of_profile(cls, profile: Any, shared: Any) -> "ActionExtractor":
        return profile.action.build()

    def extract(
        self, chunk: Chunk, state: tuple[SampledMotion, ActionState] | None
    ) -> tuple[Sampled, tuple[SampledMotion, ActionState]]:
        motions, poses = state or (SampledMotion(self.config.motion.build(), chunk.rate_hz), ActionState())
        motion, moving = motions(chunk.frames, chunk.following)
        values, mask, poses = self(chunk.images, chunk.copy_of, chunk.times_s, chunk.tracks, motion, moving, poses)
        return Sampled(values, mask), (motions, poses)

    @torch.inference_mode()
    def forward(
        self,
        images: UInt8[Tensor, "distinct height width 3"],
        copy_of: Tensor,
        times_s: list[float],
        objects: list[tuple[Track, ...]],
        motion: Float[Tensor, "frames motion"],
        moving: Bool[Tensor, "frames"],
        state: ActionState,
    ) -> tuple[Float[Tensor, "frames 6 features"], Bool[Tensor, "frames 6"], ActionState]:
        """Action entities of consecutive samples.

        Args:
            copy_of: for each sample the number of its picture.
            objects: tracks at each frame, people among them, boxes carried to the frame's time.
            motion: the view's mean motion descriptor over each sample.
            moving: false where a sample has none (a still picture, the last frame).
            state: what the samples before these left behind.
        """
        aspect = images.shape[2] / images.shape[1]
        people = [_largest(tracks, self.config.min_height_frac) for tracks in objects]
        joints, embedding = self._poses(images, copy_of, people)
        values = torch.zeros(len(times_s), MAX_PEOPLE + 1, LAYOUT.width)
        mask = torch.zeros(len(times_s), MAX_PEOPLE + 1, dtype=torch.bool)
        at = 0
        for frame, (time_s, tracks) in enumerate(zip(times_s, people, strict=True)):
            mine = slice(at, at + len(tracks))
            things = [t for t in objects[frame] if t.class_index != PERSON]
            described, state = _describe_people(time_s, tracks, things, joints[mine], aspect, state)
            values[frame, : len(tracks)] = described
            LAYOUT.read(values[frame, : len(tracks)], "embedding").copy_(embedding[mine])
            mask[frame, : len(tracks)] = True
            at += len(tracks)
        LAYOUT.read(values[:, VIEW], "motion").copy_(motion)
        LAYOUT.read(values[:, VIEW], "is_view").fill_(1.0)
        values[~moving, VIEW] = 0.0
        mask[:, VIEW] = moving
        return values, mask, state

    def _poses(self, images: Tensor, copy_of: Tensor, people: list[tuple[Track, ...]]) -> tuple[Tensor, Tensor]:
        """Joints (people, 17, 3) in frame fractions and embeddings of all people of all frames."""
        picture = torch.cat([torch.full((len(tracks),), i) for i, tracks in enumerate(people)]).long()
        if len(picture) == 0:
            return torch.zeros(0, JOINTS, 3), torch.zeros(0, EMBEDDING)
        boxes = torch.stack([track.box for tracks in people for track in tracks])
        height, width = images.shape[1:3]
        region = squares(frame_pixels(boxes, height, width), self.config.crop_margin).round()
        planar = images.permute(0, 3, 1, 2)
        # where nothing moves, the same crop stands for many frames
        crops, crop_of = torch.cat([copy_of[picture, None].float(), region], 1).unique(dim=0, return_inverse=True)
        found = [
            self.pose(square_crops(planar, part[:, 0].long(), part[:, 1:], INPUT_PX))
            for part in crops.split(self.config.batch_size)
        ]
        joints = torch.cat([poses.joints for poses in found])[crop_of]
        side = (region[:, 2:] - region[:, :2])[:, None]
        xy = (region[:, None, :2] + joints[..., :2] * side) / torch.tensor([width, height])
        return torch.cat([xy, joints[..., 2:]], dim=2), torch.cat([poses.embedding for poses in found])[crop_of]


def _largest(tracks: tuple[Track, ...], min_height_frac: float) -> tuple[Track, ...]:
    def size(track: Track) -> float:
        return float((track.box[2] - track.box[0]) * (track.box[3] - track.box[1])) * track.score

    people = [t for t in tracks if t.class_index == PERSON and float(t.box[3] - t.box[1]) >= min_height_frac]
    return tuple(sorted(people, key=size, reverse=True)[:MAX_PEOPLE])


def _describe_people(
    time_s: float,
    tracks: tuple[Track, ...],
    things: list[Track],
    joints: Float[Tensor, "people 17 3"],
    aspect: float,
    state: ActionState,
) -> tuple[Float[Tensor, "people width"], ActionState]:
    """Entity vectors of one frame's people (without embeddings), and the state they leave."""
    values = torch.zeros(len(tracks), LAYOUT.width)
    previous = {pose.track: pose for pose in state.poses if time_s - pose.time_s <= 1.0}
    if not tracks:
        return values, ActionState(tuple(previous.values()))
    scale = torch.tensor([aspect, 1.0])
    boxes = torch.stack([track.box for track in tracks])
    heights = (boxes[:, 3] - boxes[:, 1]).clamp(min=1e-3)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 * scale
    points = joints[..., :2] * scale
    LAYOUT.read(values, "box").copy_(boxes)
    LAYOUT.read(values, "score").copy_(torch.tensor([[track.score] for track in tracks]))
    LAYOUT.read(values, "joints").copy_(joints.flatten(1))
    LAYOUT.read(values, "pose").copy_(((points - centres[:, None]) / heights[:, None, None]).flatten(1))
    LAYOUT.read(values, "track").copy_(torch.tensor([[float(track.number)] for track in tracks]))
    LAYOUT.read(values, "neighbour").copy_(_neighbours(tracks, boxes, centres, heights, scale))
    LAYOUT.read(values, "hands").copy_(_hands(points, centres, things, heights, scale))
    for index, track in enumerate(tracks):
        pose = Pose(track.number, time_s, points[index], float(heights[index]), 0.0)
        last = previous.get(track.number)
        if last is not None and time_s > last.time_s:
            velocity = (points[index] - last.joints) / heights[index] / (time_s - last.time_s)
            speeds = velocity.norm(dim=1)
            mean = float(speeds.mean())
            centre = velocity[list(HIPS)].mean(0).norm()
            dynamics = (1.0, mean, float(speeds.max()), float(speeds[list(WRISTS)].max()), mean - last.speed, centre)
            LAYOUT.read(values[index], "velocity").copy_(velocity.flatten().clamp(-10, 10))
            LAYOUT.read(values[index], "dynamics").copy_(torch.tensor([float(d) for d in dynamics]).clamp(-10, 10))
            pose = pose._replace(speed=mean)
        previous[track.number] = pose
    return values, ActionState(tuple(previous.values()))


def _neighbours(
    tracks: tuple[Track, ...], boxes: Tensor, centres: Tensor, heights: Tensor, scale: Tensor
) -> Float[Tensor, "people 4"]:
    if len(tracks) < 2:
        return torch.tensor([[0.0, FAR, 0.0, 0.0]]).repeat(len(tracks), 1)
    away = centres[None] - centres[:, None]
    distance = away.norm(dim=2) / heights[:, None]
    distance.fill_diagonal_(torch.inf)
    nearest = distance.argmin(1)
    rows = torch.arange(len(tracks))
    speeds = torch.stack([(track.velocity[:2] + track.velocity[2:]) / 2 for track in tracks]) * scale
    direction = away[rows, nearest] / away[rows, nearest].norm(dim=1, keepdim=True).clamp(min=1e-3)
    approach = ((speeds - speeds[nearest]) * direction).sum(1) / heights
    overlap = overlaps(boxes, boxes)[rows, nearest]
    return torch.stack(
        [torch.ones(len(tracks)), distance[rows, nearest].clamp(max=FAR), approach.clamp(-FAR, FAR), overlap], dim=1
    )


def _hands(
    points: Tensor, centres: Tensor, things: list[Track], heights: Tensor, scale: Tensor
) -> Float[Tensor, "people 4"]:
    wrists, hips = points[:, list(WRISTS)], points[:, list(HIPS)].mean(1)
    to_hip = (wrists - hips[:, None]).norm(dim=2).amin(1) / heights
    to_other = torch.full_like(heights, FAR)
    if len(points) > 1:
        apart = (wrists[:, :, None] - centres[None, None]).norm(dim=3).amin(1) / heights[:, None]
        to_other = apart.fill_diagonal_(FAR).amin(1)
    to_thing, any_thing = torch.full_like(heights, FAR), torch.zeros_like(heights)
    if things:
        boxes = torch.stack([thing.box for thing in things])
        places = (boxes[:, :2] + boxes[:, 2:]) / 2 * scale
        to_thing = (wrists[:, :, None] - places[None, None]).norm(dim=3).amin(dim=(1, 2)) / heights
        any_thing = torch.ones_like(heights)
    return torch.stack([to_other.clamp(max=FAR), to_hip.clamp(max=FAR), to_thing.clamp(max=FAR), any_thing], dim=1)


def evidence(stream: SceneStream, layout: Layout = LAYOUT) -> tuple[PersonEvidence, ...]:
    """The people of a stretch as records, in time order."""
    return tuple(
        PersonEvidence(
            time_s=time_s,
            track=int(layout.read(person, "track")),
            box=box_record(layout.read(person, "box")),
            score=float(layout.read(person, "score").clamp(0, 1)),
            joints=tuple(
                JointEvidence(name=name, x_frac=x, y_frac=y, score=min(max(score, 0.0), 1.0))
                for name, (x, y, score) in zip(
                    JOINT_NAMES, layout.read(person, "joints").reshape(JOINTS, 3).tolist(), strict=True
                )
            ),
        )
        for time_s, person in stream.entities(MAX_PEOPLE)
    )
