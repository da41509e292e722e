"""A tiny Video-LLaVA of transformers' own classes, for every test that needs a pretrained Video-LLM."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    PreTrainedTokenizerFast,
    VideoLlavaConfig,
    VideoLlavaForConditionalGeneration,
)

from omnisila.labels import EXPLICIT, IMPLICIT
from omnisila.models.backbone import Footage
from omnisila.models.backbones import build_backbone
from omnisila.models.transformers_llm import TransformersVideoLLM


def llama_tokenizer(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of Vicuna's form: words begin with a mark, ``<s>`` stands first, Video-LLaVA's three tokens last."""
    tokenizer: Any = Tokenizer(BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    tokenizer.decoder = decoders.Metaspace(prepend_scheme="first")
    letters = sorted(set("".join(texts)) | set(map(chr, range(33, 127))) | {"\n", "▁"})
    trainer: Any = BpeTrainer(
        vocab_size=300, special_tokens=["<unk>", "<s>", "</s>"], initial_alphabet=letters, show_progress=False
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    made = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>", padding_side="left",
        clean_up_tokenization_spaces=False,
    )  # fmt: skip
    made.add_tokens(["<image>", "<video>"], special_tokens=True)
    made.add_special_tokens({"pad_token": "<pad>"})
    return made


def video_llava(**changes: Any) -> tuple[VideoLlavaForConditionalGeneration, PreTrainedTokenizerFast]:
    """transformers' Video-LLaVA with two layers a side, 5 patches a frame, and weights that say something distinct.

    ``changes`` are those of the language model's configuration.
    """
    torch.manual_seed(0)
    sets = (IMPLICIT, EXPLICIT)
    tokenizer = llama_tokenizer(
        ["USER: ASSISTANT:", *(text for each in sets for text in (*each.labels, each.identify))]
    )
    text = LlamaConfig(
        vocab_size=384, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=512, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=14
    )
    text.update(changes)
    image_id, video_id = (int(tokenizer.convert_tokens_to_ids(token)) for token in ("<image>", "<video>"))
    config = VideoLlavaConfig(
        text_config=text, vision_config=vision, image_token_index=image_id, video_token_index=video_id
    )
    model = VideoLlavaForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    return model, tokenizer


@pytest.fixture
def make_video_llava() -> Callable[..., Any]:
    """``make_video_llava()`` gives a tiny Video-LLaVA of transformers and a tokenizer of its form."""
    return video_llava


@pytest.fixture
def make_llava() -> Callable[..., TransformersVideoLLM]:
    """``make_llava()`` gives that model behind the project's interface, ``make_llava(model, tokenizer)`` another."""

    def made(model: Any = None, tokenizer: Any = None) -> TransformersVideoLLM:
        if model is None:
            model, tokenizer = video_llava()
        return TransformersVideoLLM(model, tokenizer, build_backbone(model, {}, Footage())).eval()

    return made


@pytest.fixture
def video_llava_folder(tmp_path: Path) -> Path:
    """A tiny Video-LLaVA as ``save_pretrained`` leaves it."""
    model, tokenizer = video_llava()
    model.save_pretrained(tmp_path / "video-llava")
    tokenizer.save_pretrained(tmp_path / "video-llava")
    return tmp_path / "video-llava"
