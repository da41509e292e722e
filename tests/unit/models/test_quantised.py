"""Weights in fewer bits: stored and loaded again they say the same, and almost what all bits say."""

import json
from pathlib import Path

import pytest
import torch
from transformers import VideoLlavaForConditionalGeneration

from omnisila.errors import InputError, WeightsError
from omnisila.models.pretrained_llm import from_pretrained
from omnisila.models.quantised import Bits, quantisation, save_quantised
from omnisila.weights.pretrained import load_pretrained
from tests.video_llava import video_llava

IDS = torch.tensor([[1, 30, 40, 50, 60, 70]])
LOST = {8: 1e-3, 4: 0.1}  # nats; of this model, whose weights are random


@pytest.fixture
def source(tmp_path: Path) -> Path:
    model, tokenizer = video_llava(hidden_size=128, intermediate_size=256, head_dim=64)
    model.save_pretrained(tmp_path / "full")
    tokenizer.save_pretrained(tmp_path / "full")
    (tmp_path / "full/video_preprocessor_config.json").write_text('{"crop_size": 28}')
    return tmp_path / "full"


@torch.no_grad()
def log_probs(model: VideoLlavaForConditionalGeneration) -> torch.Tensor:
    return model(input_ids=IDS).logits.float().log_softmax(-1)


@pytest.mark.parametrize("bits", [8, 4])
def test_stored_and_loaded_again_it_is_the_same_and_close_to_all_bits(bits: Bits, source: Path, tmp_path: Path):
    out, kind = tmp_path / "few", torch.float32
    save_quantised(source, bits, out, kind)
    full = log_probs(load_pretrained(VideoLlavaForConditionalGeneration, source, kind, "cpu"))
    made = quantisation(bits, kind)
    at_once = log_probs(load_pretrained(VideoLlavaForConditionalGeneration, source, kind, "cpu", quantization=made))
    again = load_pretrained(VideoLlavaForConditionalGeneration, out, kind, "cpu")
    assert torch.allclose(log_probs(again), at_once, atol=1e-5)
    divergence = (full.exp() * (full - at_once)).sum(-1).mean()
    assert 0 < divergence < LOST[bits]
    stored = sum(path.stat().st_size for path in out.glob("*.safetensors"))
    assert stored < 0.9 * sum(path.stat().st_size for path in source.glob("*.safetensors"))
    llm = from_pretrained(out, kind)  # with its tokenizer and settings beside it
    assert llm.answer_ids("fire")
    assert json.loads((out / "video_preprocessor_config.json").read_text()) == {"crop_size": 28}
    assert not list(tmp_path.glob(".few*"))
    with pytest.raises(InputError, match="exists"):
        save_quantised(source, bits, out, kind)
    with pytest.raises(WeightsError, match="has fewer bits already"):
        save_quantised(out, bits, tmp_path / "fewer", kind)


@pytest.mark.parametrize("bits", [8, 4])
def test_only_the_language_model_loses_bits_and_the_rest_computes_in_one_kind(
    bits: Bits, source: Path, tmp_path: Path
) -> None:
    save_quantised(source, bits, tmp_path / "few", torch.bfloat16)  # as the command stores it
    for kind in (torch.float32, torch.bfloat16):
        llm = from_pretrained(tmp_path / "few", kind)
        few = [name for name, weights in llm.named_parameters() if not weights.is_floating_point()]
        assert few
        assert all(".language_model." in name for name in few)
        assert {weights.dtype for weights in llm.parameters() if weights.is_floating_point()} == {kind}
        size = llm.backbone.size_px
        seen = llm.backbone.encode(torch.zeros(1, 2, *size, 3, dtype=torch.uint8))
        assert seen.values.dtype == kind
