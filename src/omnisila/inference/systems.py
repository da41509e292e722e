"""Systems that answer examples, by name: a trained model, a Video-LLM that is asked, or any Python function."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from omnisila.inference.frozen_llm import FrozenLLM
from omnisila.inference.function_system import FunctionSystem
from omnisila.inference.hawkeye_release import ReleaseSystem
from omnisila.inference.lettered import endpoint_system
from omnisila.inference.model_system import ModelSystem
from omnisila.inference.querying import Querying
from omnisila.inference.reaction_system import ReactionSystem
from omnisila.inference.run_folders import QUERY, RELEASE, is_endpoint, is_function, model_folder
from omnisila.inference.settings import AnalyzerConfig
from omnisila.models.run_files import is_reaction
from omnisila.scenes.cache import FeatureCache
from omnisila.schema import Example, Prediction


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
        settings: how a plain Video-LLM answers by likelihood.

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
