"""Systems that answer examples, by name: a trained model, a Video-LLM that is asked, or any Python function."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from omnisila.data.instructions import render_intensities
from omnisila.errors import InputError
from omnisila.inference.frozen_llm import FrozenLLM
from omnisila.inference.function_system import FunctionSystem
from omnisila.inference.hawkeye_release import ReleaseSystem
from omnisila.inference.lettered import endpoint_system
from omnisila.inference.model_system import ModelSystem
from omnisila.inference.querying import Querying
from omnisila.inference.reacting import ReactionAnalyzer
from omnisila.inference.run_folders import QUERY, RELEASE, is_endpoint, is_function, model_folder, reaction_folder
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import REACTION
from omnisila.models.reaction_run import load_reaction
from omnisila.models.run_files import is_reaction
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.reaction.extracting import ReactionCache
from omnisila.schema import Example, Prediction, Span

UNSEEN = "Nothing that the model reads was seen."


class ReactionSystem:
    """Answers examples of ``react``; emotions that the model was not trained on are absent from its answers.

    Source: emotional-reaction paper 5.1.

    Args:
        model: a run folder of omnisila train reaction, or an embedded reaction model.
        cache: where features are kept.

    Raises:
        InputError: no such model, or its run does not say how its streams are made.
        WeightsError: its files are damaged.
    """

    def __init__(self, model: str, cache: FeatureCache | None = None) -> None:
        run = load_reaction(reaction_folder(model))
        kept = ReactionCache(cache.root, cache.write) if cache else ReactionCache()
        self.analyzer = ReactionAnalyzer(run, AnalyzerConfig(labels=(REACTION.name,)), kept)
        self.name = f"{run.record.name}@{run.record.identity.digest[:12]}"
        self.answered = REACTION.replace(labels=run.record.emotions, negative=())

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        """One prediction an example; one of which nothing could be read has no intensities and ``parse_ok`` false.

        Raises:
            InputError: an example of another task or label set, or without length.
            MediaError: the video cannot be read.
        """
        for example in examples:
            if example.task != "react" or example.labels != REACTION.name:
                raise InputError(
                    f"{example.id}: model {self.analyzer.run.record.name} does not answer {example.task} of label set "
                    f"{example.labels!r}. It answers react of {REACTION.name}."
                )
            if example.end_s <= example.start_s:
                raise InputError(
                    f"{example.id}: from {example.start_s:g} s to {example.end_s:g} s there is nothing to see. Give an "
                    "end_s after its start_s."
                )
        for example in examples:
            began = time.perf_counter()
            found = self.analyzer.measure_span(video, Span(start_s=example.start_s, end_s=example.end_s)).intensities
            yield Prediction(
                example_id=example.id,
                system=self.name,
                answer=render_intensities(found, self.answered) if found is not None else UNSEEN,
                intensities=found,
                seconds=time.perf_counter() - began,
                parse_ok=found is not None,
            )


@runtime_checkable
class System(Protocol):
    """Anything that answers examples of one video at a time."""

    @property
    def name(self) -> str:
        """What its predictions carry; another name means other answers."""
        ...

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        """One prediction an example, in any order.

        Raises:
            OmnisilaError: the video cannot be read; it costs this video alone.
        """
        ...


def system(model: str, cache: FeatureCache | None = None, settings: AnalyzerConfig | None = None) -> System:
    """The system that a name stands for.

    Args:
        model: an embedded model, a run folder, ``hawkeye-release:FOLDER`` for what Hawkeye's authors publish, a plain
            Video-LLM (folder or hub id) for answers by likelihood, ``query:BACKBONE`` for the same that is asked,
            ``openai:NAME`` for one behind an endpoint (``query:openai:NAME``: asked in any case), or
            ``module:function`` for a function of (example, video path) that returns an answer or a whole prediction.
        cache: where scene features are kept.

    Raises:
        InputError: nothing of that name.
        WeightsError: the model's files are damaged.
    """
    if model.startswith(RELEASE):
        return ReleaseSystem(Path(model.removeprefix(RELEASE)))
    if is_endpoint(model):
        return endpoint_system(model, settings or AnalyzerConfig(), cache or FeatureCache())
    if model.startswith(QUERY):
        llm = FrozenLLM.load(model.removeprefix(QUERY), frames=None)
        return Querying(model, llm, notice=llm.llm.backbone.notice)
    if is_function(model):
        return FunctionSystem.from_name(model)
    if is_reaction(model_folder(model)):
        return ReactionSystem(model, cache)
    return ModelSystem(model, cache or FeatureCache(), settings)
