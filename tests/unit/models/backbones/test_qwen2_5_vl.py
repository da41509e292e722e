"""Qwen2.5-VL: positions in time, height and width, patches, sizes."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

from omnisila.errors import InputError
from omnisila.models.backbone import Footage
from omnisila.models.backbones import build_backbone
from omnisila.models.backbones.qwen2_5_vl import fitting_size
from omnisila.models.likelihood import answer_likelihood
from omnisila.models.tokens import batch_answers, batch_prompts
from omnisila.models.zero_shot import ZeroShot

FRAMES = 8
QUESTION, LONGER = "Which event?", "Where is the man who runs away from the house?"
SIZE = {"shortest_edge": 28 * 28, "longest_edge": 56 * 84}


@pytest.fixture
def qwen(make_llm):
    return make_llm("qwen2_5_vl")


def test_qwens_positions_are_its_own_for_prompt_and_answer(qwen):
    """The answers are no part of what ``positions`` asks the model about; the model is asked about them here."""
    prompts = [qwen.prompt_ids(question, FRAMES) for question in (QUESTION, LONGER)]
    batch = batch_answers(prompts, [qwen.answer_ids("Fighting in the street")] * 2, qwen.pad_id)
    ids = batch.tokens.ids
    real = torch.ones_like(ids)
    real[:, : batch.tokens.prompt_length] = ids[:, : batch.tokens.prompt_length] != qwen.pad_id
    theirs, _ = qwen.model.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == qwen.video_id).int() * 2,
        video_grid_thw=torch.tensor([[4, 4, 6]] * 2),
        second_per_grid_ts=torch.full((2,), 0.25),
        attention_mask=real,
    )
    assert torch.equal(qwen.backbone.positions(batch.tokens) * real, theirs * real)


def test_qwens_positions_tell_time_height_and_width(qwen):
    """Worked by hand: 8 frames at 8 Hz are 4 steps of 0.25 s, at 2 positions a second 0, 0, 1, 1."""
    ids = qwen.prompt_ids(QUESTION, FRAMES)
    start = ids.index(qwen.video_id)
    positions = qwen.backbone.positions(batch_prompts([ids], qwen.pad_id))[:, 0]
    video = positions[:, start : start + 24].T - start
    wanted = [(step // 2, row, column) for step in range(4) for row in range(2) for column in range(3)]
    assert video.tolist() == [list(each) for each in wanted]
    assert (positions[:, start + 24 :] == start + 3 + torch.arange(len(ids) - start - 24)).all()
    assert (positions[:, :start] == torch.arange(start)).all()


@pytest.mark.parametrize("frames", [FRAMES, 7])
@pytest.mark.parametrize("step_s", [0.125, 0.5, 60 / 7])
def test_over_a_long_span_positions_are_transformers_own_at_the_times_of_its_frames(qwen, frames, step_s):
    """Also of windows of one batch that last differently; the model itself was opened for 8 frames a second."""
    ids = torch.tensor([qwen.prompt_ids(QUESTION, frames, 0)] * 2)
    theirs, _ = qwen.model.model.get_rope_index(
        ids,
        mm_token_type_ids=(ids == qwen.video_id).int() * 2,
        video_grid_thw=torch.tensor([[4, 4, 6]] * 2),
        second_per_grid_ts=torch.tensor([2 * step_s, 4 * step_s]),
        attention_mask=torch.ones_like(ids),
    )
    times_s = tuple(tuple(3.0 + k * row * step_s for k in range(frames)) for row in (1, 2))
    tokens = batch_prompts(ids.tolist(), qwen.pad_id)
    assert torch.equal(qwen.backbone.positions(tokens._replace(times_s=times_s)), theirs)
    assert not torch.equal(qwen.backbone.positions(tokens), theirs)


def test_uneven_times_have_uneven_positions(qwen):
    """Beside a hole from 1 to 31 s; also where a prompt is padded."""
    ids = [qwen.prompt_ids(question, FRAMES, 0) for question in (QUESTION, LONGER)]
    times_s = (0.0, 0.5, 1.0, 31.0, 31.5, 32.0, 32.5, 33.0)
    tokens = batch_prompts(ids, qwen.pad_id)._replace(times_s=(times_s,) * 2)
    for row in range(2):
        video = qwen.backbone.positions(tokens)[0, row, tokens.ids[row] == qwen.video_id]
        assert (video.view(4, 6)[:, 0] - video[0]).tolist() == [0, 2, 63, 65]


def test_what_is_asked_about_a_stretch_reads_the_times_of_its_frames(qwen, make_frames):
    """From a scene model's windows and from a whole video alike: other times are other answers."""
    visual, model = qwen.backbone.encode(make_frames()), ZeroShot(qwen)
    found = [
        answer_likelihood(model, {}, visual._replace(times_s=times_s), [QUESTION], ["Fire", "Normal"]).log_probs
        for times_s in ((tuple(k / 8 for k in range(8)),), (tuple(60.0 * k for k in range(8)),), ())
    ]
    assert torch.equal(found[0], found[2])  # what the model was opened for
    assert not torch.allclose(found[0], found[1])


def test_qwens_patches_are_those_of_the_documented_processor(qwen, make_natural):
    """Its picture processor shows each picture twice, as a still video; it is the one that runs without torchvision."""
    frames = make_natural(56, 90)
    processor = Qwen2VLImageProcessorPil(size=SIZE)
    found = processor(images=[Image.fromarray(frame) for frame in frames], return_tensors="pt")
    assert found["image_grid_thw"].tolist() == [[1, 4, 6]] * 2
    model: Any = qwen.model
    backbone: Any = build_backbone(model, {"size": SIZE}, Footage(height_px=56, width_px=90))
    ours = backbone.patchify(torch.from_numpy(frames)[None, [0, 0, 1, 1]])[0]
    assert ours.shape == found["pixel_values"].shape
    assert (ours - found["pixel_values"]).abs().max() < 1.01 / 255 / 0.26
    assert (ours - found["pixel_values"]).abs().mean() < 0.02 / 255 / 0.26


def test_qwens_patches_keep_the_order_of_frames(qwen):
    """A step's two frames stand one after the other within each colour of a patch."""
    frames = torch.zeros(1, 2, 56, 84, 3, dtype=torch.uint8)
    frames[0, 1] = 255
    patch = qwen.backbone.patchify(frames)[0, 5].view(3, 2, 14, 14)
    assert (patch[:, 0] < 0).all()
    assert (patch[:, 1] > 0).all()


@given(
    st.integers(20, 3000), st.integers(20, 3000), st.sampled_from([3136, 100_352]), st.sampled_from([112_896, 602_112])
)
def test_qwens_frame_sizes_are_the_documented_ones(height, width, smallest, largest):
    assert fitting_size(height, width, 28, smallest, largest) == smart_resize(height, width, 28, smallest, largest)


def test_frames_longer_than_documented_are_refused():
    with pytest.raises(InputError, match="10 x 4000 pixels"):
        fitting_size(10, 4000, 28, 3136, 602_112)


def test_the_tower_sees_every_temporal_patch_for_itself(qwen, make_frames):
    """So that features of windows that share frames are the same."""
    window = make_frames()
    whole, part = qwen.backbone.encode(window), qwen.backbone.encode(window[:, 2:6])
    torch.testing.assert_close(whole.values[:, 2:6], part.values, atol=1e-5, rtol=1e-4)
    assert torch.equal(whole.values[:, 0], whole.values[:, 1])
