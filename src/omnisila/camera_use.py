"""How a camera's own normal entered an analysis, and whether a file can be one. Nothing here needs torch."""

from pathlib import Path
from typing import Annotated

from pydantic import Field

from omnisila.config import Frozen
from omnisila.errors import InputError

FACTS = "camera"  # under which a camera file's header says what it is


class CameraLimit(Frozen):
    """From which smoothed score on a label is reported on a camera.

    Attributes:
        measured: read off the camera's ordinary footage; else extrapolated from the strongest scores in it.
        raised: a threshold of the model's own stands in place of a lower one that the camera would allow.
    """

    labels: str
    label: str
    on: Annotated[float, Field(ge=0, le=1)]
    measured: bool
    raised: bool


class CameraUse(Frozen):
    """The camera that findings are relative to.

    Attributes:
        digest: SHA-256 of its file.
        hours: of ordinary footage that it was learnt from, in ``videos`` videos.
        alarms_per_hour: wanted of each label set, and of what is unusual.
        silent: of place, speed, number, hour and posture those that it has seen too little of to report.
    """

    digest: str
    hours: Annotated[float, Field(gt=0)]
    videos: Annotated[int, Field(ge=1)]
    alarms_per_hour: Annotated[float, Field(gt=0)]
    limits: tuple[CameraLimit, ...]
    silent: tuple[str, ...] = ()


def check_camera_file(path: Path) -> None:
    """Be sure, before a model is loaded for it, that a file is a camera's, by its header alone.

    Raises:
        InputError: there is no such file, or it is none.
    """
    if not path.is_file():
        raise InputError(f"camera {path}: no such file. Make one with omnisila learn-camera FOOTAGE --out {path}.")
    with path.open("rb") as file:
        header = file.read(min(int.from_bytes(file.read(8), "little"), 1 << 24))
    if f'"{FACTS}"'.encode() not in header:
        raise InputError(
            f"camera {path}: not a whole camera file. Give one that omnisila learn-camera wrote, or learn it again."
        )
