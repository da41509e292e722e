"""From a model's name to an analyzer."""

import re
from pathlib import Path
from typing import Protocol, runtime_checkable

from omnisila.errors import InputError
from omnisila.inference.analyzer import Analyzer, AnalyzerConfig, Progress
from omnisila.inference.both import Both, split_settings
from omnisila.inference.reacting import ReactionAnalyzer
from omnisila.labels import REACTION
from omnisila.models.checkpoint import RUN, load_run
from omnisila.models.reaction_run import RECORD, load_reaction
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.reaction.cache import ReactionCache
from omnisila.schema import Analysis, ModelIdentity
from omnisila.weights import FOLDER, RUNS

_REACTIONS = {"compact": "compact-reaction"}  # the embedded reaction model that goes with an embedded scene model
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


@runtime_checkable
class Analyzing(Protocol):
    """What answers for a video: a scene model, a reaction model, or both."""

    @property
    def config(self) -> AnalyzerConfig:
        """What is asked of a video."""
        ...

    @property
    def identity(self) -> ModelIdentity:
        """Which model answers."""
        ...

    @property
    def validity(self) -> str:
        """What its results hold for, in a sentence."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """The warnings that every video's analysis has alike, in its present state."""
        ...

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Everything it says about one video.

        Raises:
            MediaError: it cannot be read as a video.
        """
        ...


def model_folder(model: str) -> Path:
    """The run folder that a model's name stands for: an embedded model's, the folder itself, or one on the hub.

    Raises:
        InputError: none of them.
    """
    if model in RUNS:
        return FOLDER / model
    path = Path(model)
    if _is_run(path):
        return path
    if path.exists() or not _HUB_ID.fullmatch(model):
        raise InputError(
            f"model {model!r}: neither an embedded model ({', '.join(RUNS)}) nor a run folder with a {RUN} or a "
            f"{RECORD}. Give one of these, or the hub id (owner/name) of a run folder."
        )
    return _fetched(model)


def is_reaction(folder: Path) -> bool:
    """Whether a run folder holds a model of reactions."""
    return (folder / RECORD).is_file()


def run_folder(model: str) -> Path:
    """The run folder of a scene model, by its name.

    Raises:
        InputError: no such model, or one of reactions.
    """
    folder = model_folder(model)
    if is_reaction(folder):
        raise InputError(
            f"model {model!r} measures reactions and nothing else. Give a run of omnisila train icm, hawkeye or "
            "compact, or ask for --labels reaction."
        )
    return folder


def reaction_folder(model: str) -> Path:
    """The run folder of a reaction model, by its name; an embedded scene model stands for the one that goes with it.

    Raises:
        InputError: no such model, or one without reactions.
    """
    folder = model_folder(_REACTIONS[model] if _REACTIONS.get(model) in RUNS else model)
    if not is_reaction(folder):
        raise InputError(
            f"model {model!r} does not measure reactions. Train one with omnisila train reaction and give its run "
            "folder as the model."
        )
    return folder


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
    if not _is_run(folder):
        raise InputError(
            f"model {model!r}: has no {RUN} or {RECORD}, so it is no trained run. A plain Video-LLM is the --backbone "
            "of omnisila train icm."
        )
    return folder


def _is_run(folder: Path) -> bool:
    return (folder / RUN).is_file() or is_reaction(folder)


def folders(model: str, settings: AnalyzerConfig) -> tuple[Path, ...]:
    """The run folders that answer what is asked of a model: of its scene model, of its reaction model, or of both.

    Raises:
        InputError: no such model, or label sets that it does not answer.
    """
    asked = _asked(model, settings).labels
    scenes = [run_folder(model)] if any(name != REACTION.name for name in asked) else []
    return (*scenes, *([reaction_folder(model)] if REACTION.name in asked else []))


def load(
    model: str = "compact", settings: AnalyzerConfig | None = None, cache: FeatureCache | None = None
) -> Analyzing:
    """An analyzer with a model's weights, ready for ``analyze``.

    Args:
        model: ``compact``, a run folder, or the hub id of one. A reaction model's own label set is reaction.
        settings: label sets, windows and thresholds.
        cache: where features are kept; by default ``$OMNISILA_CACHE`` or ``~/.cache/omnisila``.

    Raises:
        InputError: no such model, or settings that it cannot meet.
        WeightsError: its files are damaged.
    """
    settings = _asked(model, settings or AnalyzerConfig())
    if REACTION.name not in settings.labels:
        return load_scenes(model, settings, cache)
    if settings.labels == (REACTION.name,):
        return _load_reaction(model, settings, cache)
    events, reactions = split_settings(settings, REACTION.name)
    reaction = _load_reaction(model, reactions, cache)
    return Both(load_scenes(model, events, cache), reaction)


def load_scenes(
    model: str = "compact", settings: AnalyzerConfig | None = None, cache: FeatureCache | None = None
) -> Analyzer:
    """The analyzer of a scene model.

    Raises:
        InputError: no such model, or settings that it cannot meet.
        WeightsError: its files are damaged.
    """
    settings = settings or AnalyzerConfig()
    if settings.hop_s is not None:
        raise InputError(f"hop {settings.hop_s:g} s: only windows of reaction intensities may overlap. Leave it out.")
    return Analyzer(load_run(run_folder(model)), settings, cache or FeatureCache())


def _load_reaction(model: str, settings: AnalyzerConfig, cache: FeatureCache | None) -> ReactionAnalyzer:
    kept = ReactionCache(cache.root if cache else None)
    return ReactionAnalyzer(load_reaction(reaction_folder(model)), settings, kept)


def _asked(model: str, settings: AnalyzerConfig) -> AnalyzerConfig:
    """The settings, each label set once; with a model's own label set where none was asked for."""
    own = "labels" not in settings.model_fields_set and is_reaction(model_folder(model))
    return settings.replace(labels=(REACTION.name,) if own else tuple(dict.fromkeys(settings.labels)))
