"""A first model before a larger one: at threshold 0 nothing changes, above it only what it rules out."""

import numpy as np
import pytest

from omnisila.data.instructions import Instruction, render_instruction
from omnisila.errors import InputError
from omnisila.inference.cascade import Candidates
from omnisila.inference.load import load
from omnisila.inference.predict import predict
from omnisila.inference.run_folders import check_system, plan_answering, run_folder
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.systems import system
from omnisila.labels import ANOMALY
from omnisila.models.run_files import copy_run
from omnisila.recipes.shipping.calibrating_runs import Held, calibrate_run
from omnisila.records import append, records
from omnisila.scenes.cache import FeatureCache
from omnisila.schema import Example, Prediction, Span, Truth

LARGE = "compact-hawkeye"  # whose labels the first does not know: any event of its own is a candidate


@pytest.fixture
def opened(tmp_path):
    def with_settings(**settings):
        return load(LARGE, AnalyzerConfig(labels=("anomaly",), **settings), FeatureCache(tmp_path / "cache"))

    return with_settings


@pytest.fixture
def video(make_video, paint):
    return make_video("a.mp4", frames=144, rate_hz=12, width_px=160, height_px=120, paint=paint([(30, 80)]))


def test_at_threshold_0_the_cascade_is_the_full_run(opened, video):
    full, both = opened().analyze(video), opened(first="compact", first_threshold=0).analyze(video)
    kept = {"exclude": {"timings_s"}}
    assert both.model_dump(**kept) == full.model_dump(**kept)


def test_what_the_first_rules_out_is_quiet_and_the_rest_is_as_without_it(opened, video):
    full = opened()
    extracted = full.extract_features(video)
    alone = full.score_windows(extracted)
    first = load("compact", AnalyzerConfig(), full.cache).score_windows(extracted)
    names = load("compact", AnalyzerConfig(), full.cache).scorer.run.record.labels
    quiet = {"implicit": "Normal", "explicit": "neutral"}
    score = np.max([1 - first.posteriors[s][:, names[s].index(q)] for s, q in quiet.items()], axis=0)
    threshold = float(np.sort(score)[-1])
    both = opened(first="compact", first_threshold=threshold)
    scored = both.score_windows(extracted)
    margin_s = both.scorer.calibrations["anomaly"].shape.smooth_s / 2
    best = first.spans[int(score.argmax())]
    seen = np.array([s.start_s < best.end_s + margin_s and s.end_s > best.start_s - margin_s for s in scored.spans])
    assert scored.spans == alone.spans
    assert 0 < seen.sum() < len(seen)
    assert np.allclose(scored.posteriors["anomaly"][seen], alone.posteriors["anomaly"][seen], atol=1e-5)
    normal = full.run.record.labels["anomaly"].index("Normal")
    assert (scored.posteriors["anomaly"][~seen][:, normal] == 1).all()
    found = both.analyze(video)
    assert len(found.anomaly_curve) == len(seen)
    assert len(found.expert_weights) == seen.sum()
    assert any("compact scored every window" in told for told in found.warnings)
    assert any("Calibrate again" in told for told in found.warnings)


def test_a_first_model_that_finds_nothing_leaves_nothing_to_do(opened, video):
    found = opened(first="compact", first_threshold=1).analyze(video)
    assert {point.score for point in found.anomaly_curve} == {0.0}
    assert found.findings == ()
    assert found.expert_weights == ()


def test_candidates_reach_as_far_as_their_margin():
    found = Candidates(np.array([4.0]), np.array([5.0]), 1.5)
    near = [found.is_near(Span(start_s=start_s, end_s=start_s + 1)) for start_s in (1.5, 2.0, 4.0, 6.0, 6.5)]
    assert near == [False, True, True, True, False]


def test_examples_are_answered_by_the_pair_under_its_own_name(video, tmp_path):
    spans = [(float(start), float(start + 2)) for start in range(0, 12, 2)]
    asked = [
        Example(
            id=f"a#{number}", video=video.name, start_s=start_s, end_s=end_s, task="identify", labels="anomaly",
            instruction=render_instruction(Instruction("identify", ANOMALY)), answer="Normal", split="test", group="a",
        )
        for number, (start_s, end_s) in enumerate(spans)
    ]  # fmt: skip
    append(tmp_path / "examples.jsonl", asked)
    cache = FeatureCache(tmp_path / "cache")
    said = {}
    for name, threshold in (("full", None), ("zero", 0.0), ("none", 1.0)):
        settings = AnalyzerConfig(first=None if threshold is None else "compact", first_threshold=threshold)
        answering = system(LARGE, cache, settings)
        predict(tmp_path / "examples.jsonl", tmp_path, answering, tmp_path / f"{name}.jsonl")
        said[name] = [one.replace(seconds=None) for one in records(tmp_path / f"{name}.jsonl", Prediction)]
    assert said["zero"] == said["full"]
    assert {one.answer for one in said["none"]} == {"Normal"}
    assert "+first1@" in said["none"][0].system


@pytest.mark.parametrize(
    ("model", "labels", "label", "first"),
    [(LARGE, "anomaly", "Abuse", "compact"), ("compact", "explicit", "positive", None)],
)
def test_a_temperature_is_fitted_on_what_the_model_judged_alone(model, labels, label, first, make_video, tmp_path):
    """Here it judges no window: each is ruled out by the first model, or has no face."""
    make_video("b.mp4", frames=96, rate_hz=12)
    told = Example(
        id="b#0", video="b.mp4", start_s=0.0, end_s=8.0, task="locate", labels=labels, instruction="?", answer="",
        split="val", group="b", truth=(Truth(span=Span(start_s=2, end_s=5), label=label),),
    )  # fmt: skip
    folder, settings = copy_run(run_folder(model), tmp_path / "mine"), AnalyzerConfig(first=first)
    settings = settings.replace(first_threshold=1.0) if first else settings
    cache, held = FeatureCache(tmp_path / "cache"), Held((told,), "val")
    fitted = calibrate_run(folder, held, tmp_path, cache, lambda _: None, settings).label_sets[labels]
    assert fitted.temperature == 1.0


def test_the_seconds_of_the_first_model_are_counted(video, tmp_path):
    asked = Example(
        id="a#0", video=video.name, start_s=0.0, end_s=2.0, task="identify", labels="anomaly",
        instruction=render_instruction(Instruction("identify", ANOMALY)), answer="Normal", split="test", group="a",
    )  # fmt: skip
    pair = system(LARGE, FeatureCache(tmp_path / "cache"), AnalyzerConfig(first="compact", first_threshold=1.0))
    list(system("compact", FeatureCache(tmp_path / "cache")).predictions(video, []))  # features are known from here on
    ((scored,), (known,)) = ([*pair.predictions(video, [asked])] for _ in range(2))
    assert scored.seconds > 2 * known.seconds, "the first model scores a video once"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"first_threshold": 0.5}, "of which model"),
        ({"first": "compact-reaction"}, "measures reactions and nothing else"),
        ({"first": "compact", "max_fnr": 0.2}, "other choices of --first"),
        ({"first": "compact", "camera": "a.json"}, "--first and --camera"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_loaded(settings, told):
    with pytest.raises(InputError, match=told):
        plan_answering(LARGE, AnalyzerConfig(labels=("anomaly",), **settings))


@pytest.mark.parametrize("model", ["tests.unit.inference.test_predict:answer", "compact-reaction"])
def test_what_scores_no_windows_follows_no_first_model(model):
    with pytest.raises(InputError, match="scores no windows"):
        check_system(model, AnalyzerConfig(first="compact"))
