"""Events and reactions of the same video: two models, one analysis."""

from pathlib import Path

from omnisila.digests import digest
from omnisila.inference.analyzer import Analyzer, Progress
from omnisila.inference.reacting import ReactionAnalyzer
from omnisila.inference.settings import AnalyzerConfig
from omnisila.schema import Analysis, ModelIdentity


class Both:
    """A scene model's findings with a reaction model's intensities.

    Args:
        scenes: of the label sets that have findings.
        reaction: of reactions.
    """

    def __init__(self, scenes: Analyzer, reaction: ReactionAnalyzer) -> None:
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
            name=f"{first.name} and {other.name}",
            version=first.version,
            digest=digest(f"{first.digest}{other.digest}"),
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
