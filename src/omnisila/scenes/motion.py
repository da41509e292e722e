"""How a whole view moves: statistics of block-wise Lucas-Kanade optical flow between neighbouring luma pictures.

Fights, thefts and crashes differ from calm scenes in speed, acceleration, direction and spread of motion more than in
appearance, and far surveillance views show motion where no pose can be read. The statistics belong to the action
scene, where they stand as one more entity beside the people.

Source: Lucas and Kanade 1981 for the flow; the statistics are ours (decision D10).
"""

import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from omnisila.config import Config
from omnisila.media.frames import Luma, LumaFrame

MAX_DISPLACEMENT_PX = 8.0  # larger block displacements are noise of the linear approximation
DIRECTION_BINS = 8
AREA_SPEEDS = (0.05, 0.1, 0.2, 0.4, 0.8)  # frame heights per second
MIN_INTERVAL_S, MAX_INTERVAL_S = 1 / 30, 0.2
LOG_FLOOR = 1e-2  # statistics are log(x + floor): they spread over three decades

# One scale's statistics and their widths; quantiles run from the median to the maximum of all blocks.
SCALE_STATISTICS = {
    "speed": 5, "change": 4, "mean_change": 1, "camera_speed": 1, "direction_entropy": 1, "deformation": 4,
    "acceleration": 4, "moving_area": 5, "concentration": 2,
}  # fmt: skip


_AREA_FIRST = sum(list(SCALE_STATISTICS.values())[: list(SCALE_STATISTICS).index("moving_area")])


class MotionConfig(Config):
    """Sizes of the luma pictures and blocks; part of the action extractor's digest."""

    pair_rate_hz: float = 12.0  # pictures compared per second; slower video is compared frame by frame
    scales_height_px: tuple[int, ...] = (60, 30)
    block_px: int = 8
    block_step_px: int = 4

    @property
    def width(self) -> int:
        """Numbers per descriptor."""
        return len(self.scales_height_px) * sum(SCALE_STATISTICS.values())

    def build(self) -> "MotionEstimator":
        return MotionEstimator(self)


class BlockFlow(NamedTuple):
    """Block-wise flow between neighbouring pictures, in pixels, and the mean absolute luma change of each block."""

    right_px: Float[Tensor, "pairs rows columns"]
    down_px: Float[Tensor, "pairs rows columns"]
    change: Float[Tensor, "pairs rows columns"]


def block_flow(pictures: Float[Tensor, "pictures height width"], block_px: int, step_px: int) -> BlockFlow:
    """One least-squares step of Lucas-Kanade per block, between each picture and the next."""
    gradient_x = ((pictures[:, :, 2:] - pictures[:, :, :-2]) / 2)[:, 1:-1]
    gradient_y = ((pictures[:, 2:] - pictures[:, :-2]) / 2)[:, :, 1:-1]
    change = (pictures[1:] - pictures[:-1])[:, 1:-1, 1:-1]
    gradient_x = (gradient_x[1:] + gradient_x[:-1]) / 2
    gradient_y = (gradient_y[1:] + gradient_y[:-1]) / 2

    def block_mean(x: Tensor) -> Tensor:
        return F.avg_pool2d(x[:, None], block_px, step_px)[:, 0]

    xx = block_mean(gradient_x * gradient_x) + 1e-4
    yy = block_mean(gradient_y * gradient_y) + 1e-4
    xy = block_mean(gradient_x * gradient_y)
    xt = block_mean(gradient_x * change)
    yt = block_mean(gradient_y * change)
    determinant = xx * yy - xy * xy
    limit = MAX_DISPLACEMENT_PX
    right = (-(yy * xt - xy * yt) / determinant).clamp(-limit, limit)
    down = (-(xx * yt - xy * xt) / determinant).clamp(-limit, limit)
    return BlockFlow(right, down, block_mean(change.abs()))


def _block_quantiles(x: Float[Tensor, "pairs rows columns"], levels: Sequence[float]) -> Float[Tensor, "pairs levels"]:
    return torch.quantile(x.flatten(1), torch.tensor(levels), dim=1).T


def _spread(weights: Float[Tensor, "pairs cells"], floor: float) -> Float[Tensor, "pairs 1"]:
    """Entropy of weights over cells, in nats."""
    share = weights / (weights.sum(1, keepdim=True) + floor)
    return -(share * (share + 1e-9).log()).sum(1, keepdim=True)


def scale_statistics(
    pictures: Float[Tensor, "pictures height width"],
    intervals_s: Float[Tensor, "pairs"],
    block_px: int,
    step_px: int,
) -> Float[Tensor, "pairs statistics"]:
    """SCALE_STATISTICS of each pair of neighbouring pictures; speeds in frame heights per second.

    The median block's flow counts as camera motion and is taken off before everything but the luma change.
    """
    flow = block_flow(pictures, block_px, step_px)
    to_speed = 1 / (pictures.shape[1] * intervals_s)[:, None, None]
    camera_right = flow.right_px.flatten(1).median(1).values[:, None, None]
    camera_down = flow.down_px.flatten(1).median(1).values[:, None, None]
    right, down = (flow.right_px - camera_right) * to_speed, (flow.down_px - camera_down) * to_speed
    speed = torch.hypot(right, down)
    camera_speed = (torch.hypot(camera_right, camera_down) * to_speed)[:, :, 0]
    change_rate = flow.change / intervals_s[:, None, None] / 12  # about the change per picture at 12 Hz

    bins = ((torch.atan2(down, right) + math.pi) / (2 * math.pi) * DIRECTION_BINS).long() % DIRECTION_BINS
    directions = torch.stack([((bins == k) * speed).flatten(1).sum(1) for k in range(DIRECTION_BINS)], dim=1)
    deformation = torch.hypot(right.diff(dim=2), down.diff(dim=2))
    acceleration = torch.hypot(right.diff(dim=0), down.diff(dim=0))
    acceleration = torch.cat([acceleration[:1] if len(acceleration) else torch.zeros_like(speed[:1]), acceleration])
    changing = flow.change.flatten(1)
    share = changing / (changing.sum(1, keepdim=True) + 1e-6)
    statistics = (
        _block_quantiles(speed, (0.5, 0.75, 0.9, 0.97, 1.0)),
        _block_quantiles(change_rate, (0.5, 0.9, 0.97, 1.0)),
        flow.change.flatten(1).mean(1, keepdim=True),
        camera_speed,
        _spread(directions, floor=1e-4),
        _block_quantiles(deformation, (0.5, 0.9, 0.97, 1.0)),
        _block_quantiles(acceleration, (0.5, 0.9, 0.97, 1.0)),
        torch.stack([(speed > limit).float().flatten(1).mean(1) for limit in AREA_SPEEDS], dim=1),
        torch.cat([_spread(changing, floor=1e-6), share.amax(1, keepdim=True)], dim=1),
    )
    return torch.log(torch.cat(statistics, dim=1).clamp(min=0) + LOG_FLOOR)


def moving_area(descriptors: Float[Tensor, "samples width"]) -> Float[Tensor, "samples"]:
    """The share of the view that moves faster than the least of AREA_SPEEDS, 0..1, as the finest scale measured it."""
    return descriptors[:, _AREA_FIRST].exp() - LOG_FLOOR


class MotionEstimator:
    """Descriptors of a stream of luma pictures.

    Remembers the last two pictures, so that a stream cut into chunks gives the same numbers as a whole one.
    """

    def __init__(self, config: MotionConfig) -> None:
        self.config = config
        self._tail: list[Luma] = []

    def descriptors(self, pictures: Iterable[Luma]) -> tuple[list[tuple[float, float]], Float[Tensor, "pairs width"]]:
        """One descriptor for each new picture that differs in time from the one before.

        Args:
            pictures: in time order, continuing where the last call ended, all of one size.

        Returns:
            The two times of each pair in seconds, and its descriptor. The first pair of a stream has no
            acceleration of its own and repeats that of the second, or has none.
        """
        known = len(self._tail)
        chain = list(self._tail)
        for picture in pictures:
            if not chain or picture.time_s > chain[-1].time_s:
                chain.append(picture)
        self._tail = chain[-2:]
        if len(chain) < 2 or len(chain) == known:
            return [], torch.zeros(0, self.config.width)
        already_described = max(known - 1, 0)
        times = torch.tensor([picture.time_s for picture in chain], dtype=torch.float64)
        intervals = times.diff().float().clamp(MIN_INTERVAL_S, MAX_INTERVAL_S)
        images = torch.stack([picture.image for picture in chain]).float() / 255
        described = torch.cat([self._at_scale(images, intervals, height) for height in self.config.scales_height_px], 1)
        pairs = [(earlier.time_s, later.time_s) for earlier, later in pairwise(chain)]
        return pairs[already_described:], described[already_described:]

    def _at_scale(self, images: Tensor, intervals_s: Tensor, height_px: int) -> Tensor:
        width_px = max(round(images.shape[2] * height_px / images.shape[1]), 2 * self.config.block_px)
        small = F.interpolate(images[:, None], (height_px, width_px), mode="area")[:, 0]
        exposed = small / (small.mean(dim=(1, 2), keepdim=True) + 1e-3)
        return scale_statistics(exposed, intervals_s, self.config.block_px, self.config.block_step_px)


class SampledMotion:
    """The mean descriptor over the stretch of each sampled frame.

    A pair of pictures counts for the sample that its middle lies in, so one sample after a chunk must be known before
    the chunk's last one is complete. Pictures further apart than samples (a very slow video) count for the stretch just
    before the second of them. Either way chunks give what the whole would.
    """

    def __init__(self, estimator: MotionEstimator, rate_hz: float) -> None:
        self.width = estimator.config.width
        self._estimator, self._rate_hz = estimator, rate_hz
        self._first = 0  # number of the next chunk's first sample
        self._ahead: list[tuple[int, Tensor]] = []

    def __call__(
        self, chunk: Sequence[LumaFrame], following: LumaFrame | None
    ) -> tuple[Float[Tensor, "samples width"], Bool[Tensor, "samples"]]:
        """The next samples' motion, and whether each has any: a still picture and a video's last frame have none.

        Args:
            chunk: samples that continue where the last call's ended.
            following: the sample after them, None at the end of the video.
        """
        known = (*chunk, following) if following is not None else chunk
        pairs, described = self._estimator.descriptors([luma for sample in known for luma in sample.lumas])
        counted = [*self._ahead, *((self._sample(*pair), row) for pair, row in zip(pairs, described, strict=True))]
        past = self._first + len(chunk)
        motion, count = torch.zeros(len(chunk), self.width), torch.zeros(len(chunk))
        for number, row in counted:
            # at the end of the video there is no later sample that a last pair could count for
            place = number if following is not None else min(number, past - 1)
            if place < past:
                motion[place - self._first] += row
                count[place - self._first] += 1
        self._ahead = [(number, row) for number, row in counted if number >= past]
        self._first = past
        moving = count > 0
        motion[moving] /= count[moving, None]
        return motion, moving

    def _sample(self, earlier_s: float, later_s: float) -> int:
        """Number of the sample that a pair counts for."""
        middle_s = max((earlier_s + later_s) / 2, later_s - 0.5 / self._rate_hz)
        return max(int(middle_s * self._rate_hz + 1e-6), 0)
