"""From a model's name to an analyzer."""

from pathlib import Path
from typing import Protocol, runtime_checkable

from omnisila.digests import digest
from omnisila.inference.analyzer import Analyzer, Progress
from omnisila.inference.asking import AskedAnalyzer
from omnisila.inference.frozen_llm import FrozenLLM
from omnisila.inference.lettered import endpoint_analyzer
from omnisila.inference.run_folders import ASKED, QUERY, is_endpoint, plan_answering
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.zero_shot import load_model
from omnisila.scenes.cache import FeatureCache
from omnisila.schema import Analysis, ModelIdentity


class Both:
    """A scene model's findings with a reaction model's intensities."""

    def __init__(self, scenes: "Analyzing", reaction: "Analyzing") -> None:
        self.scenes, self.reaction = scenes, reaction

    @property
    def config(self) -> AnalyzerConfig:
        scenes, reaction = self.scenes.config, self.reaction.config
        return scenes.replace(labels=(*scenes.labels, *reaction.labels), hop_s=reaction.hop_s)

    @property
    def identity(self) -> ModelIdentity:
        """Which models answer; the digest is over both."""
        first, other = self.scenes.identity, self.reaction.identity
        return ModelIdentity(
            name=f"{first.name} and {other.name}", version=first.version, digest=digest(f"{first.digest}{other.digest}")
        )

    @property
    def validity(self) -> str:
        return f"{self.scenes.validity} {self.reaction.validity}"

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*self.scenes.notes, *self.reaction.notes)))

    def analyze(self, path: str | Path, progress: Progress | None = None) -> Analysis:
        """Findings and intensities of one video.

        Raises:
            MediaError: it cannot be read as a video.
        """
        found, felt = self.scenes.analyze(path, progress), self.reaction.analyze(path, progress)
        return found.replace(
            labels=(*found.labels, *felt.labels),
            labels_not_scored=(*found.labels_not_scored, *felt.labels_not_scored),
            model=self.identity,
            intensities=felt.intensities,
            intensity_curve=felt.intensity_curve,
            warnings=tuple(dict.fromkeys((*found.warnings, *felt.warnings))),
            timings_s={**found.timings_s, **felt.timings_s},
        )


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


def load(
    model: str = "compact", settings: AnalyzerConfig | None = None, cache: FeatureCache | None = None
) -> Analyzing:
    """An analyzer with a model's weights, ready for ``analyze``.

    Args:
        model: ``compact``, a run folder, a Video-LLM's folder, or the hub id of one; ``query:BACKBONE`` for one that
            is asked, ``openai:NAME`` for one behind an endpoint. A reaction model's own label set is reaction.
        cache: where features are kept; by default ``$OMNISILA_CACHE`` or ``~/.cache/omnisila``.

    Raises:
        InputError: no such model, or settings that it cannot meet.
        WeightsError: its files are damaged.
    """
    settings = settings or AnalyzerConfig()
    asked = plan_answering(model, settings)
    if model.startswith(ASKED):
        kept = cache or FeatureCache()
        if is_endpoint(model):
            return endpoint_analyzer(model, settings, kept)
        return AskedAnalyzer(model, FrozenLLM.load(model.removeprefix(QUERY), frames=None), settings, kept)
    scenes = None
    if asked.scenes is not None:
        run = load_model(asked.scenes.model, asked.scenes.folder, asked.scenes.settings)
        scenes = Analyzer(run, asked.scenes.settings, cache or FeatureCache())
    reaction = None
    if asked.reaction is not None:
        from omnisila.inference.reacting import ReactionAnalyzer  # its networks are transformers': seconds
        from omnisila.models.reaction_run import load_reaction
        from omnisila.scenes.reaction.extracting import ReactionCache

        kept = ReactionCache(cache.root, cache.write) if cache else ReactionCache()
        reaction = ReactionAnalyzer(load_reaction(asked.reaction.folder), asked.reaction.settings, kept)
    if scenes is not None and reaction is not None:
        return Both(scenes, reaction)
    analyzer = scenes or reaction
    assert analyzer is not None  # at least one label set is asked for
    return analyzer
