"""Tiny models of every family but Video-LLaVA, built by configuration, and what transformers' own forward takes."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlamaConfig,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen3_5Config,
    Qwen3_5ForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SiglipVisionConfig,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
    VideoLlama3Config,
    VideoLlama3ForConditionalGeneration,
)

from omnisila.models.backbone import Footage, preprocess
from omnisila.models.backbones import build_backbone
from omnisila.models.transformers_llm import TransformersVideoLLM

FRAMES = 8
SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<video>", "<image>",
    "<|vision_start|>", "<|vision_end|>", "<|video_pad|>", "<|image_pad|>", "<IMG_CONTEXT>", "<img>", "</img>",
    "<fake_token_around_image>", "<global-img>", "<end_of_utterance>", "<think>", "</think>",
]  # fmt: skip
SIZE = {"shortest_edge": 28 * 28, "longest_edge": 56 * 84}
FOOTAGE = Footage(height_px=56, width_px=84, rate_hz=8.0)
TEXT: dict[str, Any] = {
    "vocab_size": 384, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "max_position_embeddings": 512,
}  # fmt: skip


def chat_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer: Any = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer: Any = BpeTrainer(
        vocab_size=300, special_tokens=SPECIAL, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator(["user assistant system You are a helpful assistant. Which event?"], trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], eos_token=SPECIAL[2], clean_up_tokenization_spaces=False,
        extra_special_tokens=SPECIAL[3:],
    )  # fmt: skip


def llava_onevision() -> LlavaOnevisionForConditionalGeneration:
    """3 x 3 patches a frame, which halving pads to 2 x 2."""
    vision = SiglipVisionConfig(
        hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=42, patch_size=14,
        vision_use_head=False,
    )  # fmt: skip
    config = LlavaOnevisionConfig(
        vision_config=vision, text_config=Qwen2Config(**TEXT), image_token_index=SPECIAL.index("<image>"),
        video_token_index=SPECIAL.index("<video>"),
    )  # fmt: skip
    return LlavaOnevisionForConditionalGeneration(config)


def qwen2_5_vl() -> Qwen2_5_VLForConditionalGeneration:
    """Patches of 14 px merged by 2 x 2; layers that see windows of 28 px, and one that sees the frame."""
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
        "window_size": 56, "fullatt_block_indexes": [1], "tokens_per_second": 2,
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10_000.0}
    config = Qwen2_5_VLConfig(
        text_config={**TEXT, "rope_parameters": rope}, vision_config=vision,
        video_token_id=SPECIAL.index("<|video_pad|>"), image_token_id=SPECIAL.index("<|image_pad|>"),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"), vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )  # fmt: skip
    return Qwen2_5_VLForConditionalGeneration(config)


def qwen3_vl() -> Qwen3VLForConditionalGeneration:
    """Patches of 14 px merged by 2 x 2; two of three tower layers are fed into the first two of three layers."""
    vision = {
        "depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": 14, "deepstack_visual_indexes": [0, 1], "num_position_embeddings": 64,
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [3, 3, 2], "rope_theta": 10_000.0, "mrope_interleaved": True}
    config = Qwen3VLConfig(
        text_config={**TEXT, "num_hidden_layers": 3, "head_dim": 16, "rope_parameters": rope}, vision_config=vision,
        video_token_id=SPECIAL.index("<|video_pad|>"), image_token_id=SPECIAL.index("<|image_pad|>"),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"), vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )  # fmt: skip
    return Qwen3VLForConditionalGeneration(config)


def qwen3_5() -> Qwen3_5ForConditionalGeneration:
    """Three layers that keep a state and one that looks back; a quarter of each head turns with its position."""
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 32,
        "patch_size": 14, "num_position_embeddings": 64,
    }  # fmt: skip
    rope = {
        "rope_type": "default", "mrope_section": [2, 1, 1], "rope_theta": 10_000.0, "mrope_interleaved": True,
        "partial_rotary_factor": 0.25,
    }  # fmt: skip
    text = {
        **TEXT, "num_hidden_layers": 4, "head_dim": 32, "rope_parameters": rope, "linear_num_key_heads": 2,
        "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    }  # fmt: skip
    config = Qwen3_5Config(
        text_config=text, vision_config=vision,
        video_token_id=SPECIAL.index("<|video_pad|>"), image_token_id=SPECIAL.index("<|image_pad|>"),
        vision_start_token_id=SPECIAL.index("<|vision_start|>"), vision_end_token_id=SPECIAL.index("<|vision_end|>"),
    )  # fmt: skip
    return Qwen3_5ForConditionalGeneration(config)


def video_llama_3() -> VideoLlama3ForConditionalGeneration:
    vision = {
        "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 14
    }  # fmt: skip
    config = VideoLlama3Config(
        text_config={"model_type": "qwen2", **TEXT}, vision_config=vision,
        video_token_id=SPECIAL.index("<|video_pad|>"), image_token_id=SPECIAL.index("<|image_pad|>"),
    )  # fmt: skip
    return VideoLlama3ForConditionalGeneration(config)


def internvl() -> InternVLForConditionalGeneration:
    """4 x 4 patches a frame, folded to 2 x 2."""
    vision = {
        "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": [56, 56], "patch_size": [14, 14],
    }  # fmt: skip
    config = InternVLConfig(
        vision_config=vision, text_config=Qwen2Config(**TEXT), image_seq_length=4,
        image_token_id=SPECIAL.index("<IMG_CONTEXT>"),
    )  # fmt: skip
    return InternVLForConditionalGeneration(config)


def smolvlm() -> SmolVLMForConditionalGeneration:
    """4 x 4 patches a frame, folded to 2 x 2."""
    vision = {
        "hidden_size": 24, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 56,
        "patch_size": 14,
    }  # fmt: skip
    text = LlamaConfig(**TEXT, pad_token_id=0)
    config = SmolVLMConfig(
        vision_config=vision, text_config=text, image_token_id=SPECIAL.index("<image>"), scale_factor=2, pad_token_id=0
    )
    return SmolVLMForConditionalGeneration(config)


FAMILIES = {
    "internvl": internvl, "llava_onevision": llava_onevision, "qwen2_5_vl": qwen2_5_vl, "qwen3_5": qwen3_5,
    "qwen3_vl": qwen3_vl, "smolvlm": smolvlm, "video_llama_3": video_llama_3,
}  # fmt: skip


def plain_inputs(llm: TransformersVideoLLM, ids: torch.Tensor, frames: torch.Tensor) -> dict[str, Any]:
    """What transformers' own forward takes for the same prompt and frames."""
    real: dict[str, Any] = {"input_ids": ids, "attention_mask": (ids != llm.pad_id).long(), "use_cache": False}
    backbone: Any = llm.backbone
    if llm.model.config.model_type == "llava_onevision":
        pixels = preprocess(frames, (42, 42), backbone.settings).unflatten(0, frames.shape[:2])
        return {**real, "pixel_values_videos": pixels}
    if llm.model.config.model_type in ("internvl", "smolvlm"):
        pixels = preprocess(frames, (56, 56), backbone.settings)
        pixels = pixels if llm.model.config.model_type == "internvl" else pixels.unflatten(0, frames.shape[:2])
        return {**real, "pixel_values": pixels}
    steps, batch = -(-frames.shape[1] // backbone.frames_per_step), len(frames)
    grid = torch.tensor([[steps, *backbone.grid]] * batch)
    video = {**real, "pixel_values_videos": backbone.patchify(frames).flatten(0, 1), "video_grid_thw": grid}
    if llm.model.config.model_type == "video_llama_3":
        return {**video, "video_merge_sizes": torch.full((batch,), 2)}
    video["mm_token_type_ids"] = (ids == llm.video_id).int() * 2
    if llm.model.config.model_type == "qwen2_5_vl":
        video["second_per_grid_ts"] = torch.full((batch,), 2 / 8.0)
    return video


def pictures(batch: int = 1, frames: int = FRAMES, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (batch, frames, 50, 70, 3), dtype=torch.uint8, generator=random)


def built(family: str, seed: int = 0) -> TransformersVideoLLM:
    """A tiny model with weights that say something distinct."""
    torch.manual_seed(seed)
    model: Any = FAMILIES[family]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return TransformersVideoLLM(model, chat_tokenizer(), build_backbone(model, {"size": SIZE}, FOOTAGE)).eval()


def natural_pictures(height: int, width: int) -> np.ndarray:
    """Blurred noise."""
    noise = np.random.default_rng(0).integers(0, 256, (2, height // 6, width // 6, 3), dtype=np.uint8)
    blurred = [Image.fromarray(picture).resize((width, height), Image.Resampling.BILINEAR) for picture in noise]
    return np.stack([np.asarray(picture) for picture in blurred])


@pytest.fixture(params=list(FAMILIES))
def llm(request) -> TransformersVideoLLM:
    """A tiny model of each family."""
    return built(request.param)


@pytest.fixture
def make_llm() -> Callable[..., Any]:
    """``make_llm("qwen2_5_vl")`` gives a tiny model of that family."""
    return built


@pytest.fixture
def make_frames() -> Callable[..., Any]:
    """``make_frames(batch=2, frames=8)`` gives windows of random pictures."""
    return pictures


@pytest.fixture
def plain() -> Callable[..., Any]:
    """``plain(llm, ids, frames)`` gives what transformers' own forward takes for the same prompt and frames."""
    return plain_inputs


@pytest.fixture
def make_tokenizer() -> Callable[..., Any]:
    """``make_tokenizer()`` gives a tokenizer with the special tokens of all families."""
    return chat_tokenizer


@pytest.fixture
def make_natural() -> Callable[..., Any]:
    """``make_natural(height, width)`` gives two pictures whose details are as large as those of footage."""
    return natural_pictures
