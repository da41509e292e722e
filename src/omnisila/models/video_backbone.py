"""A pretrained Video-LLM as part of a run: which checkpoint, tower and adapters. Source: Omni-SILA 3.4, 4.3."""

from pathlib import Path
from typing import Literal, NamedTuple

import torch
from pydantic import PositiveInt

from omnisila.config import Config
from omnisila.models.backbone import Footage
from omnisila.models.languagebind import load_languagebind
from omnisila.models.lora import PRESETS, LoRAConfig, add_lora, load_adapter
from omnisila.models.quantised import Bits
from omnisila.models.transformers_llm import TransformersVideoLLM, from_pretrained
from omnisila.models.video_llava import VIDEO_LLAVA_7B, VideoLlavaLLM, load_video_llava
from omnisila.models.visual_tower import VisualTower
from omnisila.weights.pretrained import read_config

Precision = Literal["bfloat16", "float32"]


class Backbone(NamedTuple):
    """The language side, and the tower whose features it reads."""

    llm: VideoLlavaLLM | TransformersVideoLLM
    tower: VisualTower


class VideoBackboneConfig(Config):
    """Which Video-LLM stands behind the scenes.

    Attributes:
        source: a folder, or a hub id; any family of ``models/backbones``, or Video-LLaVA.
        languagebind: checkpoint of the original tower with temporal attention, for Video-LLaVA; None takes the port's.
        class_tokens: whether Video-LLaVA reads its tower's class tokens (257 visual tokens a frame) or patches alone
            (256, as its first release did, from which Hawkeye's authors built).
        lora: adapters on the language model; None leaves it as it is.
        bits: hold its weights in 8 or 4 bits.
        frame_px: (height, width) of frames as a tower that keeps their shape is to expect them (Qwen2.5-VL); those of
            other videos are brought to the size that these have in the tower. More pixels are more video tokens. Towers
            of one size (Video-LLaVA's, LLaVA-OneVision's) do not read it.
    """

    source: str = VIDEO_LLAVA_7B
    languagebind: str | None = None
    class_tokens: bool = True
    precision: Precision = "bfloat16"
    bits: Bits | None = None
    lora: LoRAConfig | None = PRESETS["paper"]
    frame_px: tuple[PositiveInt, PositiveInt] = (360, 640)

    def load(self, device: torch.device, rate_hz: float, adapter: Path | None = None) -> Backbone:
        """The pretrained model with its adapters: fresh ones, or those of a run folder.

        Args:
            rate_hz: frames per second of the windows that it will see; position ids that tell the time need it.
            adapter: the run folder's; None adds fresh ones.

        Raises:
            WeightsError: files are missing or damaged, or there is no network; the message says which.
        """
        dtype: torch.dtype = getattr(torch, self.precision)
        if read_config(self.source).model_type == "video_llava":
            llm, tower = load_video_llava(self.source, dtype, device, self.bits)
            if self.languagebind is not None:
                tower = load_languagebind(Path(self.languagebind), dtype, device)
            tower = tower if self.class_tokens else tower.without_class_token()
            llm.patches = tower.patches  # a prompt has a place for each
        else:
            llm = tower = from_pretrained(self.source, dtype, device, self.footage(rate_hz), self.bits)
        llm.requires_grad_(False)
        if self.lora is not None:
            if adapter is None:
                add_lora(llm.model, self.lora)
            else:
                load_adapter(llm.model, adapter)
        return Backbone(llm, tower)

    def footage(self, rate_hz: float) -> Footage:
        """What a tower is to expect of windows at that rate."""
        height_px, width_px = self.frame_px
        return Footage(height_px=height_px, width_px=width_px, rate_hz=rate_hz)
