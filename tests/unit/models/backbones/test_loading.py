"""Families by model type; what is wrong with a checkpoint is named."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import BPE
from transformers import LlavaOnevisionConfig, PreTrainedTokenizerFast, Qwen2_5_VLConfig

from omnisila.errors import WeightsError
from omnisila.models import backbones
from omnisila.models.backbone import Footage
from omnisila.models.backbones import build_backbone, family_names
from omnisila.models.pretrained_llm import from_pretrained
from omnisila.models.tokens import batch_prompts
from omnisila.models.transformers_llm import TransformersVideoLLM

FRAMES = 8
QUESTION, LONGER = "Which event?", "Where is the man who runs away from the house?"
FAMILIES = [
    "internvl", "llava_onevision", "qwen2_5_vl", "qwen3_5", "qwen3_vl", "smolvlm", "video_llama_3", "video_llava",
]  # fmt: skip
SIZE = {"shortest_edge": 28 * 28, "longest_edge": 56 * 84}
FOOTAGE = Footage(height_px=56, width_px=84, rate_hz=8.0)


def logits(llm, questions, frames):
    tokens = batch_prompts([llm.prompt_ids(question, FRAMES, 0) for question in questions], llm.pad_id)
    with torch.no_grad():
        return llm.decode(llm.embed(tokens.ids, llm.backbone.encode(frames)), tokens)


@pytest.fixture
def folder(llm, tmp_path):
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps({"size": SIZE, "do_resize": True}))
    return tmp_path


def test_a_folder_gives_the_same_model(llm, folder, make_frames):
    loaded = from_pretrained(folder, torch.float32, footage=FOOTAGE)
    assert not loaded.training
    assert loaded.prompt_ids(QUESTION, FRAMES) == llm.prompt_ids(QUESTION, FRAMES)
    for name, parameter in llm.named_parameters():
        assert torch.equal(parameter, loaded.get_parameter(name))
    ours, theirs = (logits(each, [QUESTION], make_frames()) for each in (loaded, llm))
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)  # memory lies otherwise: sums are in another order


def test_bfloat16_reaches_every_part(folder, make_frames):
    loaded = from_pretrained(str(folder), footage=FOOTAGE)
    assert loaded.backbone.encode(make_frames()).values.dtype == torch.bfloat16
    made = logits(loaded, [QUESTION, LONGER], make_frames(2))
    assert made.dtype == torch.bfloat16
    assert made.isfinite().all()
    tokens = batch_prompts([loaded.prompt_ids(QUESTION, FRAMES, 0)], loaded.pad_id)
    assert loaded.generate(
        loaded.embed(tokens.ids, loaded.backbone.encode(make_frames())), tokens, max_tokens=3
    ).log_probs[0]


def test_what_is_wrong_with_a_folder_is_named(folder, tmp_path):
    with pytest.raises(WeightsError, match="no such folder"):
        from_pretrained(tmp_path / "nowhere")
    (folder / "video_preprocessor_config.json").write_text('{"image_mean": "grey"}')
    with pytest.raises(WeightsError, match="video preprocessor file: image_mean"):
        from_pretrained(folder)
    (folder / "video_preprocessor_config.json").write_text("[1]")
    with pytest.raises(WeightsError, match=r"video_preprocessor_config\.json: a list"):
        from_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "fuyu"}))
    with pytest.raises(WeightsError, match=r"model type 'fuyu', wanted one of: .*llava_onevision, qwen2_5_vl"):
        from_pretrained(folder)
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "nobody_knows"}))
    with pytest.raises(WeightsError, match="model type 'nobody_knows', wanted one of"):
        from_pretrained(folder)


def test_a_family_is_one_file(tmp_path, monkeypatch):
    assert list(family_names()) == FAMILIES
    (tmp_path / "cousin.py").write_text("from omnisila.models.backbones.llava_onevision import build\n")
    monkeypatch.setattr(backbones, "__path__", [*backbones.__path__, str(tmp_path)])
    assert list(family_names()) == ["cousin", *FAMILIES]
    config: Any = LlavaOnevisionConfig()
    config.model_type = "cousin"
    assert build_backbone(SimpleNamespace(config=config), {}, FOOTAGE).token_count(1) == 14 * 14 + 1


@pytest.mark.parametrize(
    ("family", "config", "footage", "count"),
    [
        ("llava_onevision", LlavaOnevisionConfig(), Footage(), 8 * 14 * 14 + 1),
        ("qwen2_5_vl", Qwen2_5_VLConfig(), Footage(), 4 * 13 * 23),
        ("qwen2_5_vl", Qwen2_5_VLConfig(), Footage(height_px=1080, width_px=1920), 4 * 20 * 36),
    ],
)
def test_a_window_has_as_many_tokens_as_documented(family, config, footage, count):
    backbone = build_backbone(SimpleNamespace(config=config), {}, footage)
    assert config.model_type == family
    assert backbone.token_count(8) == count


def test_another_models_tokenizer_and_attention_are_refused(make_llm, make_tokenizer):
    llm = make_llm("qwen2_5_vl")
    with pytest.raises(WeightsError, match=r"<\|video_pad\|> is \d+ tokens, wanted one"):
        TransformersVideoLLM(llm.model, PreTrainedTokenizerFast(tokenizer_object=Tokenizer(BPE())), llm.backbone)
    without: Any = make_tokenizer()
    without.pad_token = None
    with pytest.raises(WeightsError, match="padding is token None"):
        TransformersVideoLLM(llm.model, without, llm.backbone)
    without.pad_token = "<|endoftext|>"
    llm.model.config._attn_implementation = "flash_attention_2"
    with pytest.raises(WeightsError, match="takes no mask of which token sees which"):
        TransformersVideoLLM(llm.model, without, llm.backbone)
