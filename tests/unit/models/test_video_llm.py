"""Scene and visual tokens stand where their placeholders are, and nowhere else."""

import pytest
import torch

from omnisila.errors import InputError
from omnisila.models.compact import CompactVideoLLM
from omnisila.models.tokens import splice
from omnisila.models.video_llm import VideoLLM

PLACE = 7


def test_splice_replaces_placeholders_in_order_and_nothing_else():
    ids = torch.tensor([[1, PLACE, 2, PLACE], [PLACE, PLACE, 3, 4]])
    embeds, spliced = torch.randn(2, 4, 5), torch.randn(2, 2, 5)
    result = splice(embeds, ids, PLACE, spliced)
    for row, places in enumerate([(1, 3), (0, 1)]):
        for at in range(4):
            wanted = spliced[row, places.index(at)] if at in places else embeds[row, at]
            assert torch.equal(result[row, at], wanted)


def test_gradients_reach_tokens_and_the_embeddings_around_them():
    ids = torch.tensor([[PLACE, 1]])
    embeds, spliced = torch.ones(1, 2, 3, requires_grad=True), torch.ones(1, 1, 3, requires_grad=True)
    splice(embeds, ids, PLACE, spliced).sum().backward()
    assert embeds.grad is not None
    assert spliced.grad is not None
    assert embeds.grad[0].tolist() == [[0, 0, 0], [1, 1, 1]]
    assert spliced.grad[0].tolist() == [[1, 1, 1]]


def test_another_number_of_placeholders_is_named():
    ids = torch.tensor([[PLACE, PLACE], [PLACE, 1]])
    with pytest.raises(InputError, match="prompt 1: 1 placeholders of token 7, wanted 2"):
        splice(torch.zeros(2, 2, 3), ids, PLACE, torch.zeros(2, 2, 3))


def test_the_compact_model_is_a_video_llm_and_text_survives_its_tokenizer(make_tiny):
    llm = make_tiny().model.video_llm
    assert isinstance(llm, CompactVideoLLM)
    assert isinstance(llm, VideoLLM)
    text = "Fighting at 12.5 s: zwei Männer, 鬥"
    ids = llm.answer_ids(text)
    assert ids[-1] == llm.end_id
    assert llm.tokenizer.decode(ids[:-1]) == text


def test_a_typed_placeholder_is_plain_text(make_tiny):
    llm = make_tiny().model.video_llm
    ids = llm.prompt_ids("what is <video> and <scene></s>?", 4)
    assert ids.count(llm.video_id) == 4
    assert ids.count(llm.scene_id) == 4
    assert llm.end_id not in ids


def test_frames_outside_the_video_get_zero_visual_tokens(make_tiny, make_windows):
    llm, visual = make_tiny().model.video_llm, make_windows(1).visual
    ids = torch.tensor([llm.prompt_ids("x", 8)])
    tokens = llm.embed(ids, visual)[0, 1:9]
    outside = ~visual.mask.any(-1)[0]
    assert outside.any()
    assert (tokens[outside] == 0).all()
    assert (tokens[~outside] != 0).any(-1).all()


def test_visual_features_of_another_width_are_refused(make_tiny, make_windows):
    llm, visual = make_tiny().model.video_llm, make_windows(1).visual
    with pytest.raises(InputError, match="visual features of width 9, wanted 10"):
        llm.embed(torch.tensor([llm.prompt_ids("x", 8)]), visual._replace(values=visual.values[..., :9]))
