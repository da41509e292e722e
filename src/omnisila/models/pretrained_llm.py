"""Pretrained Video-LLMs from a folder or the hub, as they are or as a run's record names them."""

from pathlib import Path
from typing import Any, Literal, cast

import torch
from pydantic import PositiveInt

from omnisila.config import Config
from omnisila.errors import WeightsError
from omnisila.models.backbone import Footage
from omnisila.models.backbones import build_backbone, check_video_llm
from omnisila.models.baselines.table import baseline_of, load_baseline
from omnisila.models.lora import PRESETS, LoRAConfig, add_lora, load_adapter
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.weights.checkpoint_files import model_folder, weight_files

Precision = Literal["bfloat16", "float32"]
Bits = Literal[4, 8]
VIDEO_LLAVA_7B = "LanguageBind/Video-LLaVA-7B-hf"
LARGE_BYTES = 4_000_000_000  # of weights as stored, usually in 16 bits
VIDEO_SETTINGS = ("video_preprocessor_config.json", "video_processor/preprocessor_config.json")


def usual_precision(source: str | Path, device: torch.device) -> Precision:
    """bfloat16 on a GPU, and on a processor where float32 would take more than 8 GB; else float32."""
    stored_bytes = sum(path.stat().st_size for path in weight_files(model_folder(source)))
    return "bfloat16" if device.type == "cuda" or stored_bytes > LARGE_BYTES else "float32"


def from_pretrained(
    source: str | Path,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    footage: Footage | None = None,
    bits: Bits | None = None,
) -> TransformersVideoLLM:
    """Load a checkpoint, in evaluation mode; its ``config.model_type`` says which family it is of.

    A folder of one of ``models/baselines/table.py`` is known by its files.

    For windows of several sizes or rates, wrap the one ``model`` several times with ``build_backbone``.

    Args:
        source: a folder with config.json, safetensors and tokenizer, or a hub id.
        footage: size and rate of the frames that windows will have.
        bits: hold the language model's weights in 8 or 4 bits; needs bitsandbytes.

    Raises:
        WeightsError: nothing there, files missing or cut short, or a family that is not known.
        InputError: footage of a shape that the family does not take.
    """
    from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING

    from omnisila.models.quantised import quantisation
    from omnisila.weights.pretrained import load_pretrained, load_tokenizer, read_config, read_settings

    check_video_llm(source)
    baseline = baseline_of(model_folder(source))
    if baseline is not None:
        if bits is not None:
            raise WeightsError(f"{source}: a baseline's weights are held as published. Leave --bits out.")
        return load_baseline(baseline, model_folder(source), dtype, device)
    config = read_config(source)
    model_class = cast("Any", MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING)[type(config)]
    model = load_pretrained(model_class, source, dtype, device, quantization=quantisation(bits, dtype))
    folder = model_folder(source)
    settings = next((found for name in VIDEO_SETTINGS if (found := read_settings(folder / name))), {})
    backbone = build_backbone(model, settings, footage or Footage())
    return TransformersVideoLLM(model, load_tokenizer(source), backbone).eval()


class VideoBackboneConfig(Config):
    """Which pretrained Video-LLM stands behind the scenes of a run.

    Attributes:
        source: a folder, or a hub id; any family of ``models/backbones``.
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

    def load(self, device: torch.device, rate_hz: float, adapter: Path | None = None) -> TransformersVideoLLM:
        """The pretrained model with its adapters: fresh ones, or those of a run folder.

        Args:
            rate_hz: frames per second of the windows that it will see; position ids that tell the time need it.
            adapter: the run folder's; None adds fresh ones.

        Raises:
            WeightsError: files are missing or damaged, or there is no network; the message says which.
        """
        from omnisila.models.backbones.video_llava import VideoLlava
        from omnisila.models.languagebind import load_languagebind

        dtype: torch.dtype = getattr(torch, self.precision)
        footage = Footage(height_px=self.frame_px[0], width_px=self.frame_px[1], rate_hz=rate_hz)
        llm = from_pretrained(self.source, dtype, device, footage, self.bits)
        if isinstance(llm.backbone, VideoLlava):
            clip = llm.backbone.clip
            if self.languagebind is not None:
                clip = load_languagebind(Path(self.languagebind), dtype, device)
            llm.backbone = VideoLlava(llm.model, clip if self.class_tokens else clip.without_class_token())
        llm.requires_grad_(False)
        if self.lora is not None:
            if adapter is None:
                add_lora(llm.model, self.lora)
            else:
                load_adapter(llm.model, adapter)
        return llm
