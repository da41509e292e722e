"""Video tokens merged over time: nothing at ratio 1, the still ones below it, and never what moves."""

import numpy as np
import pytest
import torch

from omnisila.errors import InputError
from omnisila.models.merging import kept_count, merge_over_time
from omnisila.models.tokens import batch_answers, batch_continuations, batch_prompts
from tests.unit.models.backbones.conftest import FAMILIES, built, pictures

STEPS, PLACES, WIDTH = 4, 6, 8


def still_video(seed: int = 0) -> torch.Tensor:
    first = torch.randn(2, 1, PLACES, WIDTH, generator=torch.Generator().manual_seed(seed))
    return first.expand(-1, STEPS, -1, -1).clone()


def test_at_ratio_1_all_are_kept_as_they_are():
    video = torch.randn(2, STEPS, PLACES, WIDTH)
    merged = merge_over_time(video, 1.0, WIDTH)
    assert merged.kept.all()
    assert torch.equal(merged.values, video)


def test_of_a_still_video_the_first_step_is_left_and_ties_go_to_the_earlier():
    video = still_video()
    merged = merge_over_time(video, 1 / STEPS, WIDTH)
    assert merged.kept[:, 0].all()
    assert not merged.kept[:, 1:].any()
    assert torch.allclose(merged.values[:, 0], video[:, 0])
    half = merge_over_time(video, 0.5, WIDTH)
    assert half.kept[:, :2].all()
    assert not half.kept[:, 2:].any()
    assert kept_count(STEPS, PLACES, 0.01) == PLACES


def test_a_token_that_changes_is_kept_and_one_that_does_not_is_averaged_into_the_one_before():
    video = still_video()
    video[:, 2, 3] += 5 * torch.randn(2, WIDTH, generator=torch.Generator().manual_seed(1))
    video[:, 1, 0] *= 3  # longer, in the same direction
    merged = merge_over_time(video, (PLACES + 2) / (STEPS * PLACES), WIDTH)
    assert merged.kept[:, 2, 3].all()
    assert merged.kept.sum() == 2 * (PLACES + 2)
    assert torch.allclose(merged.values[:, 0, 0], video[:, :, 0].mean(1), atol=1e-5)
    assert torch.allclose(merged.values[:, 0, 3], video[:, :2, 3].mean(1), atol=1e-5)


def test_frames_outside_the_video_are_one():
    video = torch.randn(1, STEPS, PLACES, WIDTH)
    video[:, 1:] = 0
    assert merge_over_time(video, 0.5, WIDTH).kept[:, 1].all()  # they differ from what was seen
    assert not merge_over_time(video, 0.5, WIDTH).kept[:, 2:].any()


def test_patches_of_what_moves_on_a_drawn_clip_survive():
    llm = built("internvl")  # 4 tokens a frame, one a quarter
    still = np.random.default_rng(0).integers(0, 256, (56, 56, 3), dtype=np.uint8)
    frames = torch.from_numpy(np.stack([still] * 8))[None]
    for number in range(8):  # a block jumps to and fro in the left upper quarter
        frames[0, number, 4:24, 4:24] = 255 * (number % 2)
    with torch.no_grad():
        video = llm.backbone.project(llm.backbone.encode(frames)).unflatten(1, (8, 4))
    merged = merge_over_time(video, (4 + 7) / 32, llm.width)
    assert merged.kept[0, 0].all()
    assert merged.kept[0, :, 0].all(), "what moves is kept in every frame"
    assert merged.kept.sum() == 11


@pytest.mark.parametrize("family", list(FAMILIES))
class TestFamilies:
    @pytest.fixture
    def llm(self, family):
        return built(family)

    @pytest.fixture
    def frames(self):
        return pictures(2)

    def branches(self, llm, frames):
        prompt = llm.prompt_ids("Which event?", frames.shape[1], 0)
        return batch_continuations([prompt] * 2, [llm.answer_ids(word) for word in ("fire", "calm")], llm.pad_id).tokens

    @torch.no_grad()
    def test_ratio_1_is_the_full_model(self, llm, frames):
        visual, tokens = llm.backbone.encode(frames), self.branches(llm, frames)
        embeds = llm.embed(tokens.ids, visual)
        full = llm.decode(embeds, tokens)
        llm.merge_tokens(1.0)
        assert torch.equal(llm.decode(embeds, tokens), full)
        assert llm.merged_away(tokens.ids[0].tolist()) == 0

    @torch.no_grad()
    def test_fewer_are_read_at_the_positions_that_they_had(self, llm, frames):
        tokens = self.branches(llm, frames)
        embeds = llm.embed(tokens.ids, llm.backbone.encode(frames))
        full = llm.decode(embeds, tokens)
        positions = llm.backbone.positions(tokens)
        llm.merge_tokens(0.5)
        left, read, kept = llm._merge(embeds, tokens)
        gone = llm.merged_away(tokens.ids[0].tolist())
        assert gone > 0
        assert left.shape[1] == embeds.shape[1] - gone == read.ids.shape[1] == kept.shape[-1]
        assert read.prompt_length == tokens.prompt_length - gone
        assert torch.equal(kept[..., -9:], positions[..., -9:])
        assert set(kept.flatten().tolist()) <= set(positions.flatten().tolist())
        said = llm.decode(embeds, tokens)
        assert said.shape == full.shape
        assert torch.isfinite(said).all()
        assert not torch.allclose(said, full)

    @torch.no_grad()
    def test_answers_are_written_as_they_are_scored(self, llm, frames):
        llm.merge_tokens(0.5)
        prompt, visual = llm.prompt_ids("Which event?", frames.shape[1], 0), llm.backbone.encode(frames[:1])
        tokens = batch_prompts([prompt], llm.pad_id)
        made = llm.generate(llm.embed(tokens.ids, visual), tokens, 4)
        answer = list(made.ids[0])
        scored = batch_answers([prompt], [answer], llm.pad_id).tokens
        logits = llm.decode(llm.embed(scored.ids, visual), scored)[0, : len(answer)].log_softmax(-1)
        assert logits.argmax(-1).tolist() == answer
        log_probs = logits[torch.arange(len(answer)), torch.tensor(answer)]
        assert torch.allclose(log_probs, torch.tensor(made.log_probs[0]), atol=1e-4)


def test_a_family_that_pools_its_frames_refuses():
    llm = built("internvl")
    llm.backbone.step_tokens = None
    with pytest.raises(InputError, match="pools its frames itself"):
        llm.merge_tokens(0.5)
