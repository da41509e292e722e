"""Votes beside the language side: which answers they decide, and what no outlier may do."""

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from torch import nn

from omnisila.inference.analyzer import Analyzer
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import LABEL_SETS
from omnisila.models.checkpoint import load_run
from omnisila.models.likelihood import Asked, answers_likelihood, label_likelihoods
from omnisila.models.votes import LIMIT, VotesConfig
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.summaries import SUMMARIES, summaries
from omnisila.scenes.windows import windows
from omnisila.weights import FOLDER


def summary(value: float) -> dict[str, torch.Tensor]:
    return {name: torch.full((2, width), value) for name, width in SUMMARIES.items()}


def test_answers_without_votes_stay_as_the_language_side_said():
    votes = VotesConfig(votes={"Fire": ("level",)}).build()
    said = torch.tensor([[-1.0, -2.0, -3.0]] * 2)
    assert torch.equal(votes.weigh(said, ["positive", "neutral", "negative"], summary(1.0)), said)


def test_votes_decide_against_the_quiet_label():
    votes = VotesConfig(votes={"Fire": ("level", "peak"), "Fighting": ("motion+people+limbs",)}).build()
    votes.by_label["Fire"].offset.fill_(2.0)
    said = torch.tensor([[-9.0, -1.0, -5.0]] * 2)
    posterior = votes.weigh(said, ["Fire", "Fighting", "Normal"], summary(0.0)).exp()
    assert torch.allclose(posterior.sum(1), torch.ones(2))
    assert torch.allclose((posterior[:, 0] / posterior[:, 2]).log(), torch.full((2,), 2.0), atol=1e-6)
    assert torch.allclose(posterior[:, 1], posterior[:, 2])


def test_the_language_side_may_keep_a_say():
    votes = VotesConfig(votes={"Fire": ("level",)}, language_weight=1.0).build()
    said = torch.tensor([[-1.0, -2.0]] * 2)
    assert torch.allclose(votes.weigh(said, ["Fire", "Normal"], summary(0.0)), said.log_softmax(-1))


def test_no_outlier_decides_alone():
    votes = VotesConfig(votes={"Fire": ("level",)}).build()
    for vote in votes.by_label["Fire"].votes.values():
        vote.weight.fill_(1.0)
    odds = votes.by_label["Fire"](summary(1e6))
    assert odds.tolist() == [LIMIT, LIMIT]


def test_a_finding_may_need_all_votes_of_its_label():
    votes = VotesConfig(votes={"Fire": ("level", "peak"), "Theft": ("level", "peak")}, agree=("Fire",)).build()
    for label in votes.by_label.values():
        level, peak = label.votes.values()
        level.bias.fill_(3.0)
        peak.bias.fill_(-1.0)
        label.offset.fill_(0.5)
    said = torch.zeros(2, 3).log_softmax(1)
    for locating, fire in ((False, 1.5), (True, -0.5)):
        odds = votes.weigh(said, ["Fire", "Theft", "Normal"], summary(0.0), locating)
        assert torch.allclose(odds[:, 0] - odds[:, 2], torch.full((2,), fire), atol=1e-5)
        assert torch.allclose(odds[:, 1] - odds[:, 2], torch.full((2,), 1.5), atol=1e-5)


def test_the_anomaly_curve_takes_the_mean_where_findings_take_the_least_and_averages_fights_in(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    analyzer = Analyzer(load_run(FOLDER / "compact"), AnalyzerConfig(labels=("implicit",)), FeatureCache(tmp_path))
    extracted = analyzer.extract_features(make_video("a.mp4", frames=36, rate_hz=12))
    scored = analyzer.score_windows(extracted)
    shown = list(windows(analyzer.cache.shards(extracted), analyzer.window, extracted.info.duration_s))
    names = analyzer.run.record.labels["implicit"]
    mean = analyzer.scorer.judge_windows(analyzer.see(extracted)(shown), ["implicit"])["implicit"].posterior
    quiet, fighting = (mean[:, names.index(name)].double().numpy() for name in ("Normal", "Fighting"))
    odds = ((1 - quiet) / quiet * fighting / quiet) ** 0.5
    limits, said = analyzer.scorer.calibrations["implicit"].thresholds, mean.double().numpy().T
    sure = [part * (part >= limits[name].on) for name, part in zip(names, said, strict=True) if name in limits]
    assert scored.anomaly == pytest.approx(np.max([odds / (1 + odds), *sure], axis=0), abs=1e-6)
    least = scored.posteriors["implicit"][:, names.index("Normal")]
    assert (quiet < least).all(), "the least of several differs"
    assert [point.score for point in analyzer.scorer.curve(scored)] == pytest.approx(scored.anomaly, abs=1e-4)


def test_only_what_is_read_is_asked_for():
    votes = VotesConfig(votes={"Fire": ("level",), "Theft": ("motion+pose", "level")}).build()
    assert votes.reads == ("level", "motion", "pose")


def test_where_votes_decide_alone_the_language_model_is_not_asked_and_would_change_nothing(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    run = load_run(FOLDER / "compact")
    analyzer = Analyzer(run, AnalyzerConfig(labels=tuple(run.record.labels)), FeatureCache(tmp_path))
    extracted = analyzer.extract_features(make_video("a.mp4", frames=36, rate_hz=12))
    shown = list(windows(analyzer.cache.shards(extracted), analyzer.window, extracted.info.duration_s))
    inputs, votes = analyzer.see(extracted)(shown)[:2], run.model.votes
    asked = [Asked(LABEL_SETS[name].identify, labels) for name, labels in run.record.labels.items()]
    assert votes is not None
    heard_by: list[object] = []
    hook = cast("nn.Module", run.model.video_llm.language_model).register_forward_hook(lambda *_: heard_by.append(1))
    found = label_likelihoods(run.model, *inputs, asked)
    assert not heard_by
    hook.remove()
    with torch.inference_mode():
        heard, seen = answers_likelihood(run.model, *inputs, asked), summaries(*inputs, votes.reads)
        for mine, said, question in zip(found, heard, asked, strict=True):
            assert torch.equal(mine.log_probs, votes.weigh(said.log_probs, question.answers, seen))
            assert mine.located is not None
            assert torch.equal(mine.located, votes.weigh(said.log_probs, question.answers, seen, True))
            assert torch.equal(mine.token_counts, said.token_counts)
            assert torch.equal(mine.perception.probabilities, said.perception.probabilities)
