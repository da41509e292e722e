"""A tiny ICM with real parts, and windows with absences for it."""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

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
from omnisila.models.compact import CompactConfig
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICM, ICMConfig
from omnisila.models.iec import IECConfig
from omnisila.models.tokenizer import train_tokenizer
from omnisila.scenes.extractor import Entities, SceneInputs

FEATURES = {"face": 5, "action": 6, "relation": 7, "background": 8}
ENTITIES = {"face": 3, "action": 3, "relation": 2, "background": 1}
VISUAL = 10


class Windows(NamedTuple):
    scenes: SceneInputs
    visual: Entities


class Tiny(NamedTuple):
    icm: ICMConfig
    compact: CompactConfig
    model: ICM


def tiny(**changes: object) -> Tiny:
    """A model of a few thousand parameters; ``changes`` are those of an ablation's ``ICMConfig``."""
    torch.manual_seed(0)
    texts = [text for sets in (IMPLICIT, EXPLICIT) for text in (*sets.labels, sets.identify)]
    compact = CompactConfig(visual_features=VISUAL, width=24, num_layers=2, num_heads=2, feedforward=32)
    expert = ExpertConfig(width=16, num_layers=2, num_heads=2, feedforward_ratio=2)
    icm = ICMConfig.model_validate(
        {"features": FEATURES, "expert": expert, "iec": IECConfig(centres=4)} | changes,
    )
    model = icm.build(compact.build(train_tokenizer(texts, 300))).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # fresh weights say nothing distinct
    return Tiny(icm, compact, model)


def windows(batch: int = 3, frames: int = 8, seed: int = 1) -> Windows:
    """Random windows; each entity of each frame is present in three of five cases."""
    random = torch.Generator().manual_seed(seed)

    def entities(count: int, width: int) -> Entities:
        mask = torch.rand(batch, frames, count, generator=random) < 0.6
        return Entities(torch.randn(batch, frames, count, width, generator=random) * mask.unsqueeze(-1), mask)

    scenes = SceneInputs(*(entities(ENTITIES[name], width) for name, width in FEATURES.items()))
    return Windows(scenes, entities(1, VISUAL))


@pytest.fixture
def make_tiny() -> Callable[..., Any]:
    """``make_tiny(sbm=None)`` builds a tiny ICM, here without its router."""
    return tiny


@pytest.fixture
def make_windows() -> Callable[..., Any]:
    """``make_windows(batch=3)`` gives random windows with absences."""
    return windows


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
