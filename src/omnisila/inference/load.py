"""From a model's name to an analyzer."""

from pathlib import Path

from omnisila.errors import InputError
from omnisila.inference.analyzer import Analyzer, AnalyzerConfig
from omnisila.models.checkpoint import load_run
from omnisila.scenes.cache import FeatureCache
from omnisila.weights import FOLDER, RUNS


def run_folder(model: str) -> Path:
    """The run folder that a model's name stands for: an embedded model's, or the folder itself.

    Raises:
        InputError: neither.
    """
    if model in RUNS:
        return FOLDER / model
    path = Path(model)
    if (path / "run.json").is_file():
        return path
    raise InputError(
        f"model {model!r}: neither an embedded model ({', '.join(RUNS)}) nor a run folder with a run.json. "
        "Give one of these; hub models are not supported by this version."
    )


def load(model: str = "compact", settings: AnalyzerConfig | None = None, cache: FeatureCache | None = None) -> Analyzer:
    """An analyzer with a model's weights, ready for ``analyze``.

    Args:
        model: ``compact`` or a run folder.
        settings: label sets, windows and thresholds.
        cache: where scene features are kept; by default ``$OMNISILA_CACHE`` or ``~/.cache/omnisila``.

    Raises:
        InputError: no such model, or settings that it cannot meet.
        WeightsError: its files are damaged.
    """
    return Analyzer(load_run(run_folder(model)), settings or AnalyzerConfig(), cache or FeatureCache())
