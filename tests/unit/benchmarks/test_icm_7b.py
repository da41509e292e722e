"""The benchmark of the full model runs at toy sizes, and its floors are what counting the operations gives."""

import json
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPVisionConfig, LlamaConfig, LlamaForCausalLM

from benchmarks import icm_7b
from benchmarks.icm_7b_floors import Decoder, branched_pairs, causal_pairs, tower_flops
from benchmarks.icm_7b_networks import TINY, TRUE, video_llava


def test_the_tiny_run_measures_every_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "results" / "tiny.json"
    icm_7b.main(["--tiny", "--out", str(out)])
    result = json.loads(out.read_text())
    assert result == json.loads(capsys.readouterr().out)
    seconds, training = result["seconds"], result["training"]
    parts = ("features", "locate", "attribute")
    assert seconds["file to findings"] == pytest.approx(sum(seconds[part] for part in parts), rel=0.02)
    assert {"features/relation", "features/background", "chat/identify", "chat/locate", "training"} < seconds.keys()
    assert all(value > 0 for value in seconds.values())
    assert all(value > 0 for value in result["arithmetic"]["tflop"].values())
    assert training["clips_per_second"] > 0
    assert 0 < training["model_flop_utilisation"] < training["with_recomputation"] < 1
    assert result["floor_seconds"]["file to findings"] < seconds["file to findings"]


def test_true_shapes_need_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(SystemExit, match=r"need one\. Give --tiny"):
        icm_7b.main([])


def test_the_language_models_arithmetic_is_what_is_counted() -> None:
    sizes = {"num_key_value_heads": 1, "num_attention_heads": 4, "attn_implementation": "eager"}
    config = LlamaConfig(**{**TINY.text, **sizes})
    model, tokens = LlamaForCausalLM(config).requires_grad_(False), 11
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, tokens, dtype=torch.long), use_cache=False, logits_to_keep=3)
    # with plain matrix products all pairs are computed, seen or not; positions and masks need no products to speak of
    wanted = Decoder.of(config).forward(tokens, tokens * tokens, 3)
    assert counter.get_total_flops() == pytest.approx(wanted, rel=0.01)


def test_the_towers_arithmetic_is_what_is_counted() -> None:
    llm = video_llava(TINY, torch.device("cpu"), torch.float32)
    frames = torch.zeros(1, 2, 28, 28, 3, dtype=torch.uint8)
    with FlopCounterMode(display=False) as counter:
        llm.embed(torch.tensor([llm.prompt_ids("", 2)]), llm.backbone.encode(frames))
    wanted = 2 * tower_flops(llm.model.config.vision_config, llm.width)
    attention = 2 * 4 * 5**2 * TINY.vision["hidden_size"]  # not counted in the processor's fused kernel
    assert wanted - attention <= counter.get_total_flops() <= wanted


def test_the_true_shapes_are_vicunas_and_clips() -> None:
    decoder = Decoder.of(LlamaConfig(**TRUE.text))
    assert decoder.weights + 2 * decoder.width * decoder.vocabulary == pytest.approx(6.74e9, rel=1e-3)
    assert tower_flops(CLIPVisionConfig(**TRUE.vision), decoder.width) == pytest.approx(166e9, rel=0.01)
    prompt, branches = 2074, [9] * 15
    pairs = branched_pairs(prompt, branches)
    assert pairs < causal_pairs(prompt + sum(branches))
    window = decoder.forward(prompt + sum(branches), pairs, sum(branches))
    assert window * 60 == pytest.approx(1.8e15, rel=0.02)
    assert decoder.training(2130, 50, 40_000_000) == pytest.approx(59e12, rel=0.02)
