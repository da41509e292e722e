"""A Video-LLM as it was published, where a trained scene model would stand: it reads pictures and words, no scenes."""

from collections.abc import Sequence
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from omnisila.config import Config
from omnisila.models.scene_model import SceneModel, SceneRead
from omnisila.models.tokens import Tokens
from omnisila.models.video_llm import VideoLLM
from omnisila.scene_registry import SceneName
from omnisila.scenes.extractor import Entities, SceneInputs


class NoExperts(NamedTuple):
    """Weights of no experts at all."""

    probabilities: Float[Tensor, "batch frames 0"]


class ZeroShot(SceneModel):
    """The Video-LLM alone: its prompts have no places for scenes."""

    def __init__(self, video_llm: VideoLLM) -> None:
        super().__init__()
        self.video_llm = video_llm

    @property
    def scenes(self) -> tuple[SceneName, ...]:
        return ()

    def prompts(self, instructions: Sequence[str], scenes: SceneInputs, visual: Entities) -> list[list[int]]:
        """Each window's instruction behind the video tokens of its frames."""
        frames, times_s = visual.values.shape[1], visual.times_s or [()] * len(instructions)
        rows = zip(instructions, times_s, strict=True)
        return [self.video_llm.prompt_ids(instruction, frames, 0, each_s) for instruction, each_s in rows]

    def read(self, scenes: SceneInputs, visual: Entities, tokens: Tokens) -> SceneRead:
        none = visual.mask.new_zeros(*visual.mask.shape[:2], 0).float()
        return SceneRead(self.video_llm.embed(tokens.ids, visual), NoExperts(none))

    def total_loss(self, language_loss: Float[Tensor, ""], perception: NoExperts) -> Float[Tensor, ""]:
        return language_loss


class TunedConfig(Config):
    """A Video-LLM that was tuned on the questions, without scenes: a baseline of the papers' tables."""

    def build(self, video_llm: VideoLLM) -> ZeroShot:
        return ZeroShot(video_llm)


class ZeroShotConfig(Config):
    """How a Video-LLM that was not trained for the labels is asked by likelihood.

    Attributes:
        length_normalised: log P(label) is divided by the label's number of tokens. A trained model's posterior would be
            destroyed by it; one that was never taught the labels favours short ones without it.
        contextual: divide each label's likelihood by that for an empty video, grey throughout. Source: Zhao et al.
            2021, Calibrate Before Use, section 5 (their W = diag(p_cf)^-1).
        scene_text: what the scene extractors saw in a window stands in its prompt, in words.
    """

    length_normalised: bool = True
    contextual: bool = False
    scene_text: bool = False

    def build(self, video_llm: VideoLLM) -> ZeroShot:
        return ZeroShot(video_llm)
