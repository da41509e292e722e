"""A scene model's run folder <-> model: ``scene.safetensors`` and the language side beside ``run.json``.

Of the compact model's language side the folder holds everything (``model.safetensors``, ``tokenizer/``), of a
pretrained Video-LLM the adapters (``adapter/``, as peft writes them).
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, Self, cast

import torch
from pydantic import ConfigDict, model_validator
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from tokenizers import Tokenizer
from torch import Tensor, nn

from omnisila.devices import default_device
from omnisila.errors import WeightsError
from omnisila.models.compact import CompactConfig, CompactVideoLLM
from omnisila.models.hawkeye import HawkeyeConfig
from omnisila.models.hawkeye_release import HawkeyeReleaseConfig
from omnisila.models.icm import ICMConfig
from omnisila.models.lora import adapter_files
from omnisila.models.pretrained_llm import VideoBackboneConfig
from omnisila.models.run_files import (
    ADAPTER,
    LANGUAGE,
    RUN,
    SCENE,
    TOKENIZER,
    RunSummary,
    read_contents,
    read_record,
    run_calibration,
    seal_record,
    write_run,
)
from omnisila.models.scene_model import SceneModel
from omnisila.models.sharded import whole
from omnisila.models.tokenizer import as_transformers
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.models.votes import VotesConfig
from omnisila.models.zero_shot import TunedConfig, ZeroShotConfig
from omnisila.operating_points import Calibration
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import WindowConfig
from omnisila.weights.loading import fill

VIDEO_LLM_PREFIX = "video_llm."


class RunRecord(RunSummary):
    """The content of a scene model's ``run.json``: everything needed to build it again and to say where it came from.

    Attributes:
        icm: the scene side, unless ``hawkeye`` is.
        tuned: in place of a scene side, for a Video-LLM alone that was tuned on the questions.
        zero_shot: in place of a scene side, for a Video-LLM as it was published; no folder holds such a run.
        votes: what speaks for labels beside the language side.
        sem: the extractors whose features it was trained on.
        window: how videos were cut for it.
    """

    model_config = ConfigDict(extra="forbid")
    hashed = RunSummary.hashed | {"icm", "hawkeye", "tuned", "zero_shot", "video_llm", "votes", "sem", "window"}

    icm: ICMConfig | None = None
    hawkeye: HawkeyeConfig | HawkeyeReleaseConfig | None = None
    tuned: TunedConfig | None = None
    zero_shot: ZeroShotConfig | None = None
    video_llm: CompactConfig | VideoBackboneConfig
    votes: VotesConfig | None = None
    sem: SEMConfig | FullSEMConfig = SEMConfig()
    window: WindowConfig = WindowConfig()

    @model_validator(mode="after")
    def _has_one_scene_side(self) -> Self:
        if sum(side is not None for side in (self.icm, self.hawkeye, self.tuned, self.zero_shot)) != 1:
            raise ValueError("wanted one scene side, icm or hawkeye")
        return self

    @property
    def scene_side(self) -> ICMConfig | HawkeyeConfig | HawkeyeReleaseConfig | TunedConfig | ZeroShotConfig:
        side = self.icm or self.hawkeye or self.tuned or self.zero_shot
        assert side is not None  # validated
        return side


class Run(NamedTuple):
    """A loaded run folder; the model is in evaluation mode."""

    model: SceneModel
    record: RunRecord
    calibration: Calibration | None

    @property
    def pretrained(self) -> TransformersVideoLLM | None:
        """The Video-LLM with its own tower; None where the extractors' visual stream is what the model sees."""
        llm = self.model.video_llm
        return llm if isinstance(llm, TransformersVideoLLM) else None

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device


def save_run(
    folder: Path,
    model: SceneModel,
    record: RunRecord,
    calibration: Calibration | None = None,
    half: bool = True,
    write: bool = True,
) -> RunRecord:
    """Write a model into a run folder, all files or none; returns the record with its hashes.

    Thresholds of another model that stood there are taken away.

    Args:
        half: store parameters in float16. Statistics of features stay in float32: their range is the data's.
        write: false in all but one of several processes that hold the model together; all must call this.

    Raises:
        OutputError: the folder cannot be written.
    """
    language, scene = _tensors_to_store(model, half)
    contents = {SCENE: save_safetensors(scene)}
    if isinstance(record.video_llm, CompactConfig):
        contents |= {LANGUAGE: save_safetensors(language), **_tokenizer_files(model)}
    elif record.video_llm.lora is not None:
        files = adapter_files(cast("Any", model.video_llm).model)
        contents |= {f"{ADAPTER}/{name}": content for name, content in files.items()}
    record = seal_record(record, contents)
    if write:
        write_run(folder, record, contents, calibration)
    return record


def load_run(folder: Path) -> Run:
    """Build the model that a run folder holds.

    A pretrained Video-LLM goes to a GPU if there is one, and its scenes with it. The compact model stays on the
    processor, where it is fast enough.

    Raises:
        WeightsError: a file is missing or changed, or its tensors are not those of the recorded configuration; the
            message names them.
    """
    record = read_record(folder, RunRecord)
    contents = read_contents(folder, record)
    scene = _tensors(folder / SCENE, contents)
    if isinstance(record.video_llm, CompactConfig):
        tokenizer = _tokenizer(folder, contents)
        model = record.scene_side.build(record.video_llm.build(tokenizer))
        model.votes = record.votes.build() if record.votes else None
        language = {VIDEO_LLM_PREFIX + key: value for key, value in _tensors(folder / LANGUAGE, contents).items()}
        _fill(dict(_named_tensors(model)), {**language, **scene}, folder)
    else:
        device = default_device()
        model = record.scene_side.build(record.video_llm.load(device, record.window.rate_hz, folder / ADAPTER))
        _fill({key: value for key, value in _named_tensors(model) if not _is_language(key)}, scene, folder)
        model.to(device)
    return Run(model.eval(), record, run_calibration(folder))


def _content(folder: Path, name: str, contents: Mapping[str, bytes]) -> bytes:
    if name not in contents:
        raise WeightsError(f"{folder / RUN}: names no {name}. Copy the whole run folder, or train again.")
    return contents[name]


def _tokenizer(folder: Path, contents: Mapping[str, bytes]) -> Tokenizer:
    name = f"{TOKENIZER}/tokenizer.json"
    try:
        return Tokenizer.from_buffer(_content(folder, name, contents))
    except ValueError as error:
        raise WeightsError(f"{folder / name}: no tokenizer ({error}). Train again.") from None


def _tensors(path: Path, contents: Mapping[str, bytes]) -> dict[str, Tensor]:
    content = _content(path.parent, path.name, contents)
    try:
        return {key: value.float() for key, value in load_safetensors(content).items()}
    except SafetensorError as error:
        raise WeightsError(f"{path}: no safetensors file ({error}). Train again.") from error


def _fill(wanted: Mapping[str, Tensor], found: Mapping[str, Tensor], folder: Path) -> None:
    fill(wanted, found, f"{folder}: the weights are not those of its {RUN}", f"Use the {RUN} that was saved with them.")


def _named_tensors(model: nn.Module) -> list[tuple[str, Tensor]]:
    """Parameters and stored statistics, tied ones once."""
    stored = model.state_dict().keys()
    return [*model.named_parameters(), *((key, value) for key, value in model.named_buffers() if key in stored)]


def _tensors_to_store(model: SceneModel, half: bool) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The language side, where the folder holds all of it, and the scene side."""
    parameters = dict(model.named_parameters())
    language: dict[str, Tensor] = {}
    scene: dict[str, Tensor] = {}
    for key, tensor in _named_tensors(model):
        if _is_language(key) and not isinstance(model.video_llm, CompactVideoLLM):
            continue
        kept = whole(tensor).to(torch.float16 if half and key in parameters else tensor.dtype).contiguous()
        if _is_language(key):
            language[key.removeprefix(VIDEO_LLM_PREFIX)] = kept
        else:
            scene[key] = kept
    return language, scene


def _tokenizer_files(model: SceneModel) -> dict[str, bytes]:
    with tempfile.TemporaryDirectory() as aside:
        as_transformers(cast("CompactVideoLLM", model.video_llm).tokenizer).save_pretrained(aside)
        return {f"{TOKENIZER}/{path.name}": path.read_bytes() for path in sorted(Path(aside).iterdir())}


def _is_language(key: str) -> bool:
    return key.startswith(VIDEO_LLM_PREFIX)
