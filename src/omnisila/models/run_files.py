"""Run folders: ``run.json``, ``model.safetensors`` and what else a kind of model needs, written whole or not at all.

``run.json`` holds the SHA-256 of every other file of the model, so that a file from another run is noticed at loading.
Nothing here needs torch, so mistakes are told before it is loaded.
"""

import json
import shutil
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal, TypeVar

from pydantic import ConfigDict, Field, JsonValue, ValidationError

from omnisila.config import Frozen, first_fault
from omnisila.digests import digest
from omnisila.errors import InputError, WeightsError
from omnisila.files import named_failure, write_together
from omnisila.operating_points import Calibration
from omnisila.schema import ModelIdentity

RUN, LANGUAGE, SCENE, TOKENIZER, ADAPTER, CALIBRATION = (
    "run.json", "model.safetensors", "scene.safetensors", "tokenizer", "adapter", "calibration.json",
)  # fmt: skip
_REACTION_RUN = "reaction.json"  # what runs of reaction models had in place of run.json before it had kinds
Record = TypeVar("Record", bound="RunSummary")


class RunSummary(Frozen):
    """What any run says about itself: the part of ``run.json`` that all kinds of models share.

    Attributes:
        kind: a scene model finds events, a reaction model measures intensities.
        version: of omnisila, when the run was saved.
        labels: label set -> the labels that the model was trained on.
        recipe: the training's whole configuration, in its own words.
        data_digests: name of a data set -> SHA-256 of what was read from it.
        sha256: file of the run folder -> SHA-256; filled in when saving.
    """

    model_config = ConfigDict(extra="ignore")
    hashed: ClassVar[frozenset[str]] = frozenset({"labels", "sha256"})  # fields that decide what a model answers

    schema_version: Literal[1] = 1
    kind: Literal["scene", "reaction"] = "scene"
    name: str
    version: str = Field(default_factory=lambda: metadata.version("omnisila"))
    labels: dict[str, tuple[str, ...]]
    recipe: dict[str, JsonValue] = Field(default_factory=dict)
    data_digests: dict[str, str] = Field(default_factory=dict)
    sha256: dict[str, str] = Field(default_factory=dict)

    @property
    def identity(self) -> ModelIdentity:
        """What results say about the model; the digest covers weights, tokenizer and configuration."""
        given = {name for name in self.hashed if getattr(self, name)}
        core = self.model_dump(mode="json", include=given, exclude={"features": {"device"}})
        return ModelIdentity(name=self.name, version=self.version, digest=digest(json.dumps(core, sort_keys=True)))


def is_run(folder: Path) -> bool:
    """Whether a folder holds a finished run."""
    return any((folder / name).is_file() for name in (RUN, _REACTION_RUN))


def is_reaction(folder: Path) -> bool:
    """Whether a folder holds a run of a model of reactions.

    Raises:
        WeightsError: its record cannot be read.
    """
    return is_run(folder) and run_summary(folder).kind == "reaction"


def is_compact(folder: Path) -> bool:
    """Whether a scene model's run folder holds all of its language side, and not adapters of a pretrained one."""
    return (folder / TOKENIZER).is_dir()


def run_summary(folder: Path) -> RunSummary:
    """What a run folder says about itself.

    Raises:
        WeightsError: it holds no record, or one that cannot be read.
    """
    return read_record(folder, RunSummary)


def run_calibration(folder: Path) -> Calibration | None:
    """The thresholds of a run, if it was calibrated.

    Raises:
        WeightsError: the file cannot be read.
    """
    path = folder / CALIBRATION
    try:
        return Calibration.model_validate_json(path.read_bytes()) if path.exists() else None
    except ValidationError as error:
        raise WeightsError(f"{path}: {first_fault(error)}. Calibrate the run again.") from error


def read_record(folder: Path, kind: type[Record]) -> Record:
    """A run folder's record.

    Raises:
        WeightsError: the file is missing, or not of that kind.
    """
    path = folder / RUN
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError as error:
        if (folder / _REACTION_RUN).is_file():
            raise WeightsError(
                f"{folder / _REACTION_RUN}: a reaction model of an earlier version, whose run folder had no {RUN}. "
                "Train it again with omnisila train reaction."
            ) from error
        raise WeightsError(
            f"{path}: {error.strerror}. Give a folder that omnisila train finished; {RUN} is written last."
        ) from error
    except ValidationError as error:
        raise WeightsError(f"{path}: {first_fault(error)}. It was written by another version; train again.") from error


def seal_record(record: Record, contents: Mapping[str, bytes]) -> Record:
    """The record of a model whose files have these contents."""
    return record.replace(sha256={name: digest(content) for name, content in contents.items()})


def write_run(
    folder: Path, record: RunSummary, contents: Mapping[str, bytes], calibration: Calibration | None = None
) -> None:
    """Write a run folder, all files or none. Thresholds of another model that stood there are taken away.

    Args:
        record: of these contents (``seal_record``).
        contents: file of the folder -> its bytes.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        is_other_model = run_summary(folder).sha256 != record.sha256
    except WeightsError:
        is_other_model = True
    files = {**contents, RUN: record.model_dump_json(indent=2).encode()}
    if calibration is not None:
        files[CALIBRATION] = calibration.model_dump_json(indent=2).encode()
    write_together({folder / name: content for name, content in files.items()})
    if calibration is None and is_other_model:
        (folder / CALIBRATION).unlink(missing_ok=True)


def read_contents(folder: Path, record: RunSummary) -> dict[str, bytes]:
    """The files of a run, checked against its record.

    Raises:
        WeightsError: one is missing or changed; the message names it.
    """
    contents: dict[str, bytes] = {}
    for name, wanted in record.sha256.items():
        path = folder / name
        try:
            contents[name] = path.read_bytes()
        except OSError as error:
            raise WeightsError(f"{path}: {error.strerror}. Copy the whole run folder.") from error
        if (found := digest(contents[name])) != wanted:
            raise WeightsError(
                f"{path}: SHA-256 is {found}, {RUN} says {wanted}. Copy the whole run folder, or train again."
            )
    return contents


def check_copy(folder: Path, target: Path) -> None:
    """Refuse a place for the copy of a run that holds something already.

    Raises:
        InputError: it does.
    """
    if target.exists() and any(target.iterdir() if target.is_dir() else [target]):
        raise InputError(f"{target}: exists. Choose a new folder for the copy of {folder}.")


def copy_run(folder: Path, target: Path) -> Path:
    """A run in another place, with its thresholds; without the state that training resumes from.

    Raises:
        InputError: the place holds something already.
        OutputError: it cannot be written.
    """
    check_copy(folder, target)
    with named_failure(target):
        shutil.copytree(folder, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "state"))
    return target
