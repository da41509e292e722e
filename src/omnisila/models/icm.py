"""Implicit-enhanced Causal MoE: experts, router and causal block before a Video-LLM. Source: Omni-SILA Fig. 2."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import TrainingError
from omnisila.models.experts import AbsentExpert, ExpertConfig, SceneExpert
from omnisila.models.iec import IECConfig, ImplicitEnhancedCausal, NoIntervention
from omnisila.models.layers import masked_mean
from omnisila.models.sbm import ExpertStates, MeanFusion, SBMConfig, SceneBalancedMoE
from omnisila.models.scene_model import SceneModel, SceneRead
from omnisila.models.tokens import Tokens, splice
from omnisila.models.video_llm import VideoLLM
from omnisila.scene_registry import PUBLISHED
from omnisila.scenes.extractor import Entities, SceneInputs
from omnisila.schema import SceneName


class Perception(NamedTuple):
    """What the scene side of the model makes of a window.

    ``scene_tokens`` are zero, ``probabilities`` sum to 0 and ``x`` means nothing in frames where ``present`` is false.
    """

    scene_tokens: Float[Tensor, "batch frames tokens_width"]
    probabilities: Float[Tensor, "batch frames experts"]
    x: Float[Tensor, "batch frames width"]
    present: Bool[Tensor, "batch frames"]


class ICM(SceneModel):
    """Experts -> SBM -> IEC -> projector -> scene tokens -> Video-LLM. Source: Omni-SILA Fig. 2.

    The language model's input is Norm(y_moe + y_iec) + y_t + y_v, where + between groups of tokens is concatenation.
    """

    def __init__(
        self,
        experts: Mapping[SceneName, SceneExpert | AbsentExpert],
        sbm: SceneBalancedMoE | MeanFusion,
        iec: ImplicitEnhancedCausal | NoIntervention,
        norm: nn.LayerNorm,
        projector: nn.Module,
        video_llm: VideoLLM,
    ) -> None:
        super().__init__()
        self.experts = nn.ModuleDict(dict(experts))
        self.sbm = sbm
        self.iec = iec
        self.norm = norm
        self.projector = projector
        self.video_llm = video_llm

    @property
    def scenes(self) -> tuple[SceneName, ...]:
        return tuple(self.experts)

    @property
    def feature_widths(self) -> tuple[int, ...]:
        """d_j of Eq. (2), in the scenes' order; 0 for a scene that is left out."""
        return tuple(cast("int", expert.feature_width) for expert in self.experts.values())

    def read(self, scenes: SceneInputs, visual: Entities, tokens: Tokens) -> SceneRead:
        perception = self.perceive(scenes)
        embeds = self.video_llm.embed(tokens.ids, visual)
        return SceneRead(splice(embeds, tokens.ids, self.video_llm.scene_id, perception.scene_tokens), perception)

    def perceive(self, scenes: SceneInputs, visual: Entities | None = None) -> Perception:
        """The scene side alone: one token a frame, and each expert's probability."""
        states = [expert(scenes[name]) for name, expert in self.experts.items()]
        hidden = torch.stack([state.hidden for state in states], dim=2)
        existing = torch.stack([state.present for state in states], dim=2)
        present = existing.any(-1)
        x = masked_mean(hidden, existing)
        y_moe, probabilities = self.sbm(ExpertStates(hidden, existing))
        y_iec = self.iec(x, y_moe, present)
        scene_tokens = self.projector(self.norm(y_moe + y_iec)) * present.unsqueeze(-1)
        return Perception(scene_tokens, probabilities, x, present)

    def prompts(self, instructions: Sequence[str], scenes: SceneInputs, visual: Entities) -> list[list[int]]:
        """Each window's instruction behind one visual and one scene token a frame."""
        frames = next(iter(scenes.values())).mask.shape[1]
        return [self.video_llm.prompt_ids(instruction, frames) for instruction in instructions]

    def total_loss(self, language_loss: Float[Tensor, ""], perception: Perception) -> Float[Tensor, ""]:
        """L = L_lm + L_rb. Source: Omni-SILA 3.4."""
        return language_loss + self.sbm.balance_loss(perception.probabilities, self.feature_widths)

    def fit_standardisation(self, scenes: SceneInputs, visual: Entities | None = None) -> None:
        """Let every expert know the mean and spread of its training features.

        Raises:
            TrainingError: a scene of the model that is never present, or features that are not finite.
        """
        for scene, expert in self.experts.items():
            if not isinstance(expert, SceneExpert):
                continue
            entities = scenes[scene]
            if not entities.mask.any():
                raise TrainingError(f"scene {scene}: never present in the training windows. Leave it out of the model.")
            expert.standardise.fit(entities.values[entities.mask])


class ICMConfig(Config):
    """Which parts an ICM has; an ablation leaves one out.

    Attributes:
        features: width of each scene's features; of the published four one that is not named is left out.
        sbm: None for the plain mean of experts.
        iec: None for scene tokens from y_moe alone.
    """

    features: dict[SceneName, int]
    expert: ExpertConfig = ExpertConfig()
    sbm: SBMConfig | None = SBMConfig()
    iec: IECConfig | None = IECConfig()
    dropout: float = 0.0

    def build(self, video_llm: VideoLLM) -> ICM:
        width = self.expert.width
        experts = {
            scene: self.expert.build(self.features[scene]) if scene in self.features else AbsentExpert(width)
            for scene in dict.fromkeys((*PUBLISHED, *self.features))
        }
        sbm = self.sbm.build(width, len(experts)) if self.sbm else MeanFusion(width)
        iec = self.iec.build(width) if self.iec else NoIntervention()
        projector = nn.Sequential(
            nn.Linear(width, video_llm.width),
            nn.GELU(),
            nn.Dropout(self.dropout),
            nn.Linear(video_llm.width, video_llm.width),
        )
        return ICM(experts, sbm, iec, nn.LayerNorm(width), projector, video_llm)
