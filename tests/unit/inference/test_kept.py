"""What is kept of a video between windows and questions gives what reading everything anew gives."""

import numpy as np
import pytest
import torch

from omnisila.inference.analyzer import UNTAUGHT
from omnisila.inference.frozen_llm import FrozenLLM
from omnisila.inference.load import load
from omnisila.inference.seeing import KeptFeatures
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import IMPLICIT
from omnisila.models.kept_prompt import KeptPrompt
from omnisila.models.tokens import batch_prompts
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.windows import windows
from tests.unit.models.backbones.conftest import FAMILIES, built, pictures

TASKS = [(task, getattr(IMPLICIT, task).replace("{label}", "Fire")) for task in ("identify", "locate", "attribute")]


@pytest.fixture
def clip(make_video):
    return make_video("a.mp4", frames=48, rate_hz=12, paint=_noise)


def _noise(index, width_px, height_px):
    return np.random.default_rng(index).integers(0, 256, (height_px, width_px, 3)).astype(np.uint8)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_a_frame_alone_is_as_in_its_window_where_the_tower_is_said_to_look_so(family):
    llm, frames = built(family), pictures()
    if llm.backbone.frame_wise:
        together, alone = llm.backbone.encode(frames), llm.backbone.encode(frames.transpose(0, 1))
        assert torch.allclose(together.values[0], alone.values[:, 0], atol=1e-5)


@pytest.mark.parametrize("family", ["llava_onevision", "qwen2_5_vl"])
def test_overlapping_windows_encode_what_is_new_and_keep_no_more_than_they_may(family, clip):
    llm, device = built(family), torch.device("cpu")
    times = [tuple(start / 2 + step / 4 for step in range(8)) for start in range(4)]
    there = torch.ones(1, 8, dtype=torch.bool)
    tower = KeptFeatures(llm, clip, device, most=16)
    for window in times:
        kept = tower.see([window], there)
        anew = KeptFeatures(llm, clip, device).see([window], there)
        assert torch.allclose(kept.values, anew.values, atol=1e-5)
        assert torch.equal(kept.mask, anew.mask)
        assert torch.equal(kept.area, anew.area)
        assert sum(map(len, tower._kept)) <= 16
    assert tower.encoded == (8 + 3 * 2 if llm.backbone.frame_wise else 32)
    before = tower.encoded
    tower.see([times[-1]], there)
    assert tower.encoded == before
    gone = tower.see([times[-1]], ~there)
    assert not gone.mask.any()


def test_a_video_is_scored_alike_in_any_batches(video_llava_folder, clip, tmp_path):
    analyzer = load(str(video_llava_folder), AnalyzerConfig(labels=("implicit",)), FeatureCache(tmp_path / "cache"))
    extracted = analyzer.extract_features(clip)
    cut = list(windows(analyzer.cache.shards(extracted), analyzer.window, extracted.info.duration_s))
    one_by_one = [analyzer.scorer.judge_windows(analyzer.see(extracted)([w]), ["implicit"]) for w in cut]
    together = analyzer.score_windows(extracted).posteriors["implicit"]
    rows = torch.cat([judged["implicit"].posterior for judged in one_by_one])
    assert torch.allclose(rows, torch.tensor(together).float(), atol=1e-5)


@pytest.mark.parametrize("ratio", [1.0, 0.5])
@pytest.mark.parametrize("family", list(FAMILIES))
def test_questions_about_the_same_pictures_say_what_a_fresh_one_says(family, ratio):
    llm = built(family)
    llm.merge_tokens(ratio)
    visual, kept = llm.backbone.encode(pictures()), KeptPrompt(llm)
    for _, words in [*TASKS, TASKS[0]]:
        ids = llm.prompt_ids(words, 8, 0)
        tokens = batch_prompts([ids], llm.pad_id)
        with torch.no_grad():
            embeds = llm.embed(tokens.ids, visual)
            anew, going_on = llm.generate(embeds, tokens, 5), kept.generate(embeds, tokens, 5)
        assert going_on.ids == anew.ids
        assert torch.allclose(torch.tensor(going_on.log_probs), torch.tensor(anew.log_probs), atol=1e-5)
        assert kept._cache.get_seq_length() <= len(ids) + 5


def test_a_video_that_is_asked_again_is_looked_at_once(make_llava, clip, make_video):
    asked, fresh = FrozenLLM(make_llava()), FrozenLLM(make_llava())
    seen = []
    encode = asked.llm.backbone.encode
    asked.llm.backbone.encode = lambda frames: seen.append(len(frames)) or encode(frames)
    for _, words in TASKS:
        fresh._last = None
        assert asked.ask(clip, (0.0, 4.0), words, 6) == fresh.ask(clip, (0.0, 4.0), words, 6)
    assert seen == [1]
    asked.ask(clip, (0.0, 2.0), TASKS[0][1], 2)
    assert seen == [1, 1]
    asked.ask(make_video("b.mp4", frames=48, rate_hz=12), (0.0, 2.0), TASKS[0][1], 2)
    assert seen == [1, 1, 1]


def test_fewer_video_tokens_are_named_in_results_and_warned_of(video_llava_folder, clip, tmp_path):
    cache = FeatureCache(tmp_path / "cache")
    few = load(str(video_llava_folder), AnalyzerConfig(labels=("implicit",), kept_tokens=0.5), cache)
    all_read = load(str(video_llava_folder), AnalyzerConfig(labels=("implicit",)), cache)
    assert few.shortcuts.suffix == "+tokens0.5"
    assert UNTAUGHT in few.analyze(clip).warnings
    halved, full = (each.score_windows(each.extract_features(clip)).posteriors["implicit"] for each in (few, all_read))
    assert abs(halved - full).max() > 1e-6
