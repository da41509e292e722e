"""A pretrained Video-LLM as a run's record names it: frames at the run's rate, of a size that is configured."""

import json

import pytest
import torch

from omnisila.models.pretrained_llm import VideoBackboneConfig
from omnisila.models.tokens import batch_prompts

SIZE = {"shortest_edge": 28 * 28, "longest_edge": 56 * 84}


@pytest.fixture
def config(make_llm, tmp_path):
    llm = make_llm("qwen2_5_vl")
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "video_preprocessor_config.json").write_text(json.dumps({"size": SIZE}))
    return VideoBackboneConfig(source=str(tmp_path), precision="float32", lora=None, frame_px=(56, 84))


@pytest.mark.parametrize(("rate_hz", "times"), [(8.0, [0, 0, 1, 1]), (4.0, [0, 1, 2, 3]), (1.0, [0, 4, 8, 12])])
def test_positions_tell_the_time_at_the_windows_rate(config, rate_hz, times):
    llm = config.load(torch.device("cpu"), rate_hz)
    ids = llm.prompt_ids("Which event?", 8)
    positions = llm.backbone.positions(batch_prompts([ids], llm.pad_id))
    video = torch.tensor(ids) == llm.video_id
    steps = positions[0, 0, video].unflatten(0, (4, -1))
    assert (steps == steps[:, :1]).all()
    assert (steps[:, 0] - steps[0, 0]).tolist() == times  # the model counts two positions a second


def test_the_size_of_frames_decides_how_many_tokens_they_have(config):
    wide, high = (
        config.replace(frame_px=frame_px).load(torch.device("cpu"), 8.0) for frame_px in ((56, 84), (1080, 608))
    )
    assert wide.backbone.size_px == (56, 84)
    assert high.backbone.size_px == (84, 28)
    assert wide.prompt_ids("Which event?", 8).count(wide.video_id) == 4 * 6
    assert high.prompt_ids("Which event?", 8).count(high.video_id) == 4 * 3
    assert not any(parameter.requires_grad for parameter in wide.parameters())
