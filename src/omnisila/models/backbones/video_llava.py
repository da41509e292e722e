"""Video-LLaVA: CLIP patches of every frame through a projector to Vicuna; the middle square of each frame is seen.

Source: ``LanguageBind/Video-LLaVA-7B-hf``. 8 frames of 257 patches are 2056 visual tokens, which nothing ever cuts.
"""

from typing import Any

from jaxtyping import Float
from torch import Tensor

from omnisila.errors import WeightsError
from omnisila.models.backbone import ChatTemplate, Footage
from omnisila.models.clip_tower import ClipBackbone, ClipTower
from omnisila.scenes.extractor import Entities


class VideoLlava(ClipBackbone):
    """Without scene tokens, logits are transformers' own to the bit.

    Args:
        model: its image tower is left out: it takes no memory.
        clip: reads the frames; the model's own, or LanguageBind's with temporal attention. It stands in the model.
    """

    template = ChatTemplate(
        opening="USER: ",
        video_token="<video>",
        before_instruction="\n",
        closing=" ASSISTANT:",
        turn="USER: ",
        end="</s>",
        before_answer=" ",
    )

    def __init__(self, model: Any, clip: ClipTower) -> None:
        super().__init__(model, clip)
        self.frames = clip.frames
        self.step_tokens, self.frame_wise = clip.patches, clip.frames is None
        model.model.video_tower, model.model.image_tower = clip.vision_model, None

    def token_count(self, frames: int) -> int:
        """Every patch of every frame."""
        return frames * self.patches

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """One token a patch, zero for patches that are masked out."""
        return (self.model.model.multi_modal_projector(visual.values) * visual.mask.unsqueeze(-1)).flatten(1, 2)


def build(model: Any, _settings: dict[str, Any], _footage: Footage) -> VideoLlava:
    """Size and rate of the footage do not matter to this family; its frames are prepared as CLIP's.

    Raises:
        WeightsError: a tower read at several layers.
    """
    layer = model.config.vision_feature_layer
    if not isinstance(layer, int):
        raise WeightsError(
            f"{model.config.name_or_path or 'Video-LLaVA'}: vision_feature_layer is {layer}, wanted one layer. Use "
            "Video-LLaVA's own config."
        )
    return VideoLlava(model, ClipTower(model.model.video_tower, layer))
