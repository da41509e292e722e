"""What every model with a scene side before a Video-LLM offers, so that scoring and training know only one."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from omnisila.models.tokens import Generated, Tokens, batch_prompts
from omnisila.models.video_llm import VideoLLM
from omnisila.models.votes import LabelVotes
from omnisila.scene_registry import PUBLISHED, SceneName
from omnisila.scenes.extractor import Entities, SceneInputs


@runtime_checkable
class Perceived(Protocol):
    """What the scene side makes of a window; each model adds what its own loss needs."""

    @property
    def probabilities(self) -> Float[Tensor, "batch frames experts"]:
        """Each expert's weight, one column for each of the model's ``scenes``; 0 for a scene that has no expert."""
        ...


class SceneRead(NamedTuple):
    """What the language model reads, and what the scene side made of the window (a ``Perceived``)."""

    embeds: Float[Tensor, "batch tokens width"]
    perception: Any


class SceneOutput(NamedTuple):
    """Logits from each prompt's last token on, and what the scene side made of the window (a ``Perceived``)."""

    logits: Float[Tensor, "batch predictions vocabulary"]
    perception: Any


class SceneModel(nn.Module, ABC):
    """A Video-LLM that also reads scenes.

    Attributes:
        votes: what speaks for labels beside it; only compact models have any.
    """

    video_llm: VideoLLM
    votes: LabelVotes | None

    def __init__(self) -> None:
        super().__init__()
        self.votes = None

    @property
    def scenes(self) -> tuple[SceneName, ...]:
        """The columns of its ``Perceived.probabilities``."""
        return PUBLISHED

    @abstractmethod
    def prompts(self, instructions: Sequence[str], scenes: SceneInputs, visual: Entities) -> list[list[int]]:
        """Each window's instruction as a prompt, with a place for every token that ``read`` gives the window."""

    @abstractmethod
    def read(self, scenes: SceneInputs, visual: Entities, tokens: Tokens) -> SceneRead:
        """The sequence as the language model reads it, scene tokens in their places."""

    @abstractmethod
    def total_loss(self, language_loss: Float[Tensor, ""], perception: Any) -> Float[Tensor, ""]:
        """The loss of the answers with what the model adds to it."""

    def fit_standardisation(self, scenes: SceneInputs, visual: Entities) -> None:
        """Take mean and spread of what the scene side reads from training windows; by default it needs none.

        Raises:
            TrainingError: nothing to measure, or features that are not finite.
        """

    def forward(self, scenes: SceneInputs, visual: Entities, tokens: Tokens) -> SceneOutput:
        embeds, perception = self.read(scenes, visual, tokens)
        return SceneOutput(self.video_llm.decode(embeds, tokens._replace(times_s=visual.times_s)), perception)

    def generate(
        self, scenes: SceneInputs, visual: Entities, instructions: Sequence[str], max_tokens: int = 64, beams: int = 1
    ) -> Generated:
        """The likeliest answer to each window's instruction."""
        tokens = batch_prompts(self.prompts(instructions, scenes, visual), self.video_llm.pad_id)
        embeds = self.read(scenes, visual, tokens).embeds
        return self.video_llm.generate(embeds, tokens._replace(times_s=visual.times_s), max_tokens, beams)
