"""Motions of 22 joints as frames: a drawn skeleton stands in where a data set has no footage."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from av.video.frame import VideoFrame
from jaxtyping import Float
from PIL import Image, ImageDraw

from omnisila.errors import DataSetError
from omnisila.files import check_writable, path_aside
from omnisila.media.frames import Frame

RATE_HZ = 20.0  # HumanML3D samples all its sources so
JOINTS = 22  # those of SMPL without hands, y up, in metres: HumanML3D's ``new_joints``
_FORM = f"an array of shape (frames, {JOINTS}, 3), numbers only"


def load_joints(path: Path) -> Float[np.ndarray, "frames 22 3"]:
    """The joints of a motion, in metres.

    Raises:
        DataSetError: the file is missing or holds no such array; pickled contents are refused.
    """
    return np.asarray(_map_array(path), dtype=np.float32)


def count_frames(path: Path) -> int:
    """How many frames a motion has; only the file's head is read.

    Raises:
        DataSetError: as ``load_joints``.
    """
    return len(_map_array(path))


def _map_array(path: Path) -> np.ndarray:
    try:
        joints = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataSetError(f"{path}: no such file. Wanted: {_FORM}. Put the motion there.") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataSetError(f"{path}: cannot be read as a motion ({error}). Wanted: {_FORM}.") from error
    if joints.ndim != 3 or joints.shape[1:] != (JOINTS, 3) or not len(joints) or joints.dtype.kind != "f":
        raise DataSetError(f"{path}: an array of {joints.dtype} of shape {joints.shape}. Wanted: {_FORM}.")
    return joints


# HumanML3D's kinematic chains: right leg, left leg, spine and head, right arm, left arm.
CHAINS = (
    (0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20),
)  # fmt: skip
COLOURS = ("#e07b39", "#3978e0", "#333333", "#e0b139", "#39c0e0")
_MARGIN_FRAC = 0.1
_TURN_DEG = 30.0  # seen a little from the side, so that steps towards the camera show


def skeleton_frames(joints: Float[np.ndarray, "frames 22 3"], side_px: int = 224) -> Iterator[Frame]:
    """Square pictures of the skeleton at ``RATE_HZ``, the whole motion in view and the floor level."""
    # seen from the front at an angle; picture rows run downwards
    turn = np.radians(_TURN_DEG)
    across = joints[..., 0] * np.cos(turn) + joints[..., 2] * np.sin(turn)
    flat = np.stack([across, -joints[..., 1]], axis=-1)
    low, high = flat.min(axis=(0, 1)), flat.max(axis=(0, 1))
    metres = max(float((high - low).max()), 1e-3)  # joints in one point have no extent
    places = (flat - (low + high) / 2) / metres * (1 - 2 * _MARGIN_FRAC) * side_px + side_px / 2
    width_px = max(side_px // 64, 1)
    for index, pose in enumerate(places):
        image = Image.new("RGB", (side_px, side_px), "white")
        draw = ImageDraw.Draw(image)
        for chain, colour in zip(CHAINS, COLOURS, strict=True):
            draw.line([tuple(pose[joint].tolist()) for joint in chain], fill=colour, width=width_px, joint="curve")
        yield Frame(index / RATE_HZ, torch.from_numpy(np.array(image)))


def render_skeletons(source: Path, target: Path, side_px: int = 224) -> None:
    """Draw a motion file as an mp4 video at ``RATE_HZ``; it appears when it is whole.

    Raises:
        DataSetError: as ``load_joints``.
        OutputError: the target's folder cannot be written to.
    """
    joints = load_joints(source)
    check_writable(target.parent)
    rate = Fraction(RATE_HZ)
    with path_aside(target, ".mp4") as aside, av.open(str(aside), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "veryfast"})
        stream.width = stream.height = side_px // 2 * 2
        stream.pix_fmt = "yuv420p"
        for index, frame in enumerate(skeleton_frames(joints, stream.width)):
            picture = VideoFrame.from_ndarray(frame.image.numpy(), "rgb24")
            picture.pts, picture.time_base = index, 1 / rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
