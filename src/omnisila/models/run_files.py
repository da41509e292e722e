"""The files of a run folder, and what its record says without torch, so that mistakes are told before it is loaded."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import ConfigDict, ValidationError, model_validator

from omnisila.config import Frozen
from omnisila.errors import WeightsError
from omnisila.labels import REACTION
from omnisila.operating_points import Calibration

RUN, LANGUAGE, SCENE, TOKENIZER, ADAPTER, CALIBRATION = (
    "run.json", "model.safetensors", "scene.safetensors", "tokenizer", "adapter", "calibration.json",
)  # fmt: skip
REACTION_RUN = "reaction.json"  # what a run of a reaction model has in place of run.json
Record = TypeVar("Record", bound=Frozen)


class RunSummary(Frozen):
    """What any run says about itself: ``run.json`` and ``reaction.json`` without what builds the model.

    Attributes:
        labels: label set -> the labels that the model was trained on.
    """

    model_config = ConfigDict(extra="ignore")

    name: str
    version: str
    labels: dict[str, tuple[str, ...]]

    @model_validator(mode="before")
    @classmethod
    def _of_reactions(cls, said: Any) -> Any:
        if isinstance(said, dict) and isinstance(labels := said.get("labels"), list):
            scored = said.get("scored")
            return {**said, "labels": {REACTION.name: [one for one in labels if scored is None or one in scored]}}
        return said


def is_reaction(folder: Path) -> bool:
    """Whether a run folder holds a model of reactions."""
    return (folder / REACTION_RUN).is_file()


def run_summary(folder: Path) -> RunSummary:
    """What a run folder says about itself.

    Raises:
        WeightsError: it holds no record, or one that cannot be read.
    """
    return read_record(folder / (REACTION_RUN if is_reaction(folder) else RUN), RunSummary)


def run_calibration(folder: Path) -> Calibration | None:
    """The thresholds of a run, if it was calibrated.

    Raises:
        WeightsError: the file cannot be read.
    """
    path = folder / CALIBRATION
    try:
        return Calibration.model_validate_json(path.read_bytes()) if path.exists() else None
    except ValidationError as error:
        raise WeightsError(f"{path}: {_first(error)}. Calibrate the run again.") from error


def read_record(path: Path, kind: type[Record]) -> Record:
    """A run folder's record.

    Raises:
        WeightsError: the file is missing, or not of that kind.
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        raise WeightsError(
            f"{path}: {error.strerror}. Give a folder that omnisila train finished; {path.name} is written last."
        ) from error
    except ValidationError as error:
        raise WeightsError(f"{path}: {_first(error)}. It was written by another version; train again.") from error


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc'])) or 'content'}: {first['msg']}"
