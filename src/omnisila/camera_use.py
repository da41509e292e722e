"""How a camera's own normal entered an analysis."""

from typing import Annotated

from pydantic import Field

from omnisila.config import Frozen


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
