"""Files of motions of 22 joints: those of SMPL without hands, y up, in metres; HumanML3D's ``new_joints``."""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from omnisila.errors import DataSetError

RATE_HZ = 20.0  # HumanML3D samples all its sources so
JOINTS = 22
_FORM = f"an array of shape (frames, {JOINTS}, 3), numbers only"


def load_joints(path: Path) -> Float[np.ndarray, "frames 22 3"]:
    """The joints of a motion, in metres.

    Raises:
        DataSetError: the file is missing or holds no such array; pickled contents are refused.
    """
    return np.asarray(_mapped(path), dtype=np.float32)


def count_frames(path: Path) -> int:
    """How many frames a motion has; only the file's head is read.

    Raises:
        DataSetError: as ``load_joints``.
    """
    return len(_mapped(path))


def _mapped(path: Path) -> np.ndarray:
    try:
        joints = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise DataSetError(f"{path}: no such file. Wanted: {_FORM}. Put the motion there.") from None
    except (OSError, ValueError, EOFError) as error:
        raise DataSetError(f"{path}: cannot be read as a motion ({error}). Wanted: {_FORM}.") from error
    if joints.ndim != 3 or joints.shape[1:] != (JOINTS, 3) or not len(joints) or joints.dtype.kind != "f":
        raise DataSetError(f"{path}: an array of {joints.dtype} of shape {joints.shape}. Wanted: {_FORM}.")
    return joints
