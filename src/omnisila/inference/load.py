"""From a model's name to an analyzer."""

import re
from pathlib import Path

from omnisila.errors import InputError
from omnisila.inference.analyzer import Analyzer, AnalyzerConfig
from omnisila.models.checkpoint import RUN, load_run
from omnisila.scenes.cache import FeatureCache
from omnisila.weights import FOLDER, RUNS

_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def run_folder(model: str) -> Path:
    """The run folder that a model's name stands for: an embedded model's, the folder itself, or one on the hub.

    Raises:
        InputError: none of them.
    """
    if model in RUNS:
        return FOLDER / model
    path = Path(model)
    if (path / RUN).is_file():
        return path
    if path.exists() or not _HUB_ID.fullmatch(model):
        raise InputError(
            f"model {model!r}: neither an embedded model ({', '.join(RUNS)}) nor a run folder with a {RUN}. "
            "Give one of these, or the hub id (owner/name) of a run folder."
        )
    return _fetched(model)


def _fetched(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(model))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"model {model!r}: cannot be fetched from the hub ({reason.rstrip('.')}). "
            "Check the name and the network, or give a folder."
        ) from error
    if not (folder / RUN).is_file():
        raise InputError(
            f"model {model!r}: has no {RUN}, so it is no trained run. A plain Video-LLM is the --backbone of "
            "omnisila train icm."
        )
    return folder


def load(model: str = "compact", settings: AnalyzerConfig | None = None, cache: FeatureCache | None = None) -> Analyzer:
    """An analyzer with a model's weights, ready for ``analyze``.

    Args:
        model: ``compact``, a run folder, or the hub id of one.
        settings: label sets, windows and thresholds.
        cache: where scene features are kept; by default ``$OMNISILA_CACHE`` or ``~/.cache/omnisila``.

    Raises:
        InputError: no such model, or settings that it cannot meet.
        WeightsError: its files are damaged.
    """
    return Analyzer(load_run(run_folder(model)), settings or AnalyzerConfig(), cache or FeatureCache())
