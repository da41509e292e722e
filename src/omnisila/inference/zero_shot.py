"""A Video-LLM as it was published, opened like a run: every label set is its own, none was taught."""

from pathlib import Path

from omnisila.devices import default_device
from omnisila.digests import digest
from omnisila.errors import InputError
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import BUILT_IN, LABEL_SETS, REACTION
from omnisila.models.baselines.table import BASELINES, baseline_of
from omnisila.models.checkpoint import Run, RunRecord, load_run
from omnisila.models.pretrained_llm import VideoBackboneConfig, usual_precision
from omnisila.models.run_files import is_run
from omnisila.models.zero_shot import ZeroShotConfig
from omnisila.scenes.windows import WindowConfig
from omnisila.weights.checkpoint_files import folder_digest


def load_model(model: str, folder: Path, settings: AnalyzerConfig) -> Run:
    """The model of a run folder, or a plain Video-LLM in its place, which reads as many tokens as it is to.

    Args:
        settings: windows and ways of asking, which a run has of its own.

    Raises:
        WeightsError: files are missing or damaged.
        InputError: a model whose video tokens cannot be merged.
    """
    run = load_run(folder) if is_run(folder) else _plain(model, folder, settings)
    if run.pretrained is not None:
        run.pretrained.merge_tokens(settings.kept_tokens)
    elif settings.kept_tokens < 1:
        raise InputError(f"--video-tokens: model {model!r} has one token a frame. Leave the option out.")
    return run


def _plain(model: str, folder: Path, settings: AnalyzerConfig) -> Run:
    """A Video-LLM as it was published."""
    own, device = WindowConfig(), default_device()
    backbone = VideoBackboneConfig(source=str(folder), lora=None, precision=usual_precision(folder, device))
    own_sets = {
        f"labels/{name}": digest(known.model_dump_json()) for name, known in LABEL_SETS.items() if name not in BUILT_IN
    }
    record = RunRecord(
        name=BASELINES[known].title if (known := baseline_of(folder)) else model,
        labels={name: known.labels for name, known in LABEL_SETS.items() if name != REACTION.name},
        zero_shot=ZeroShotConfig(contextual=settings.contextual, scene_text=settings.scene_text),
        video_llm=backbone,
        window=own.replace(window_s=settings.window_s or own.window_s, rate_hz=settings.rate_hz or own.rate_hz),
        sha256={"checkpoint": folder_digest(str(folder)), **own_sets},
    )
    llm = backbone.load(device, record.window.rate_hz)
    return Run(record.scene_side.build(llm).eval(), record, None)
