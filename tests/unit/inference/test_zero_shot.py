"""A Video-LLM that was trained for nothing, by likelihood: its posterior, what it is told, and what it is called."""

import pytest
import torch

from omnisila.data.instructions import Instruction, render_instruction, render_question
from omnisila.errors import InputError, WeightsError
from omnisila.inference.analyzer import UNTAUGHT, Analyzer
from omnisila.inference.load import load
from omnisila.inference.predict import predict
from omnisila.inference.run_folders import check_system, model_folder
from omnisila.inference.seeing import GREY
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.systems import system
from omnisila.labels import EXPLICIT, IMPLICIT
from omnisila.models.likelihood import answer_likelihood
from omnisila.models.zero_shot import ZeroShot
from omnisila.records import append, records
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.extractor import Entities
from omnisila.scenes.windows import windows
from omnisila.schema import Analysis, Example, Prediction


@pytest.fixture
def opened(video_llava_folder, tmp_path):
    """``opened(contextual=True)`` gives an analyzer around a tiny plain Video-LLaVA."""

    def with_settings(**settings):
        cache = FeatureCache(tmp_path / "cache")
        return load(str(video_llava_folder), AnalyzerConfig(labels=("implicit", "explicit"), **settings), cache)

    return with_settings


def posteriors(analysis: Analysis, name: str) -> torch.Tensor:
    return torch.tensor([list(point.posterior[name].values()) for point in analysis.anomaly_curve])


def plain_log_probs(analyzer: Analyzer, visual: Entities, name: str) -> torch.Tensor:
    """log P(label | question) from transformers' own forward, one label at a time."""
    known = {"implicit": IMPLICIT, "explicit": EXPLICIT}[name]
    model = analyzer.run.model
    asked = render_question("identify", render_instruction(Instruction("identify", known)), name)
    rows = [
        answer_likelihood(model, {}, visual, [asked] * len(visual.values), [label]).log_probs for label in known.labels
    ]
    return torch.cat(rows, dim=1)


def test_a_video_is_analysed_with_evidence_beside_its_own_words(opened, make_video):
    analyzer = opened()
    found = analyzer.analyze(make_video("a.mp4", frames=36, rate_hz=12))
    assert isinstance(analyzer.run.model, ZeroShot)
    assert found.labels == ("implicit", "explicit")
    assert found.labels_not_scored == ()
    assert len(found.anomaly_curve) == 3
    assert found.expert_weights == ()
    assert found.findings
    assert {one.cause_by for one in found.findings} == {"model"}
    assert {one.expert_weights for one in found.findings} == {None}
    assert UNTAUGHT in found.warnings
    assert "thresholds are not calibrated for this model" in found.warnings


@pytest.mark.parametrize("contextual", [False, True])
def test_the_posterior_is_length_normalised_and_by_option_relative_to_an_empty_video(opened, make_video, contextual):
    analyzer = opened(contextual=contextual)
    path = make_video("a.mp4", frames=24, rate_hz=12)
    extracted = analyzer.extract_features(path)
    batch = analyzer.see(extracted)(list(analyzer_windows(analyzer, extracted)))
    llm = analyzer.run.pretrained
    grey = torch.full((1, 8, *llm.backbone.size_px, 3), GREY, dtype=torch.uint8)
    nothing = llm.see(grey, torch.ones(1, 8, dtype=torch.bool), [llm.backbone.size_px])
    scored = analyzer.score_windows(extracted)
    for name in ("implicit", "explicit"):
        log_probs = plain_log_probs(analyzer, batch.visual, name)
        if contextual:
            log_probs = log_probs - plain_log_probs(analyzer, nothing, name)
        known = {"implicit": IMPLICIT, "explicit": EXPLICIT}[name]
        counts = torch.tensor([len(llm.answer_ids(label)) for label in known.labels])
        wanted = (log_probs / counts).softmax(-1)
        assert torch.allclose(torch.tensor(scored.posteriors[name]).float(), wanted, atol=1e-4)


def analyzer_windows(analyzer, extracted):
    return windows(analyzer.cache.shards(extracted), analyzer.window, extracted.info.duration_s)


def test_frames_outside_the_video_are_the_nearest_and_none_is_blanked(opened, make_video):
    analyzer = opened()
    extracted = analyzer.extract_features(make_video("a.mp4", frames=12, rate_hz=12))
    first = next(iter(analyzer_windows(analyzer, extracted)))
    assert first.times_s[0] < 0
    assert analyzer.see(extracted)([first]).visual.mask.all()


def test_what_was_seen_stands_in_the_prompt_by_option(opened, make_video, paint):
    told, plain = opened(scene_text=True), opened()
    extracted = told.extract_features(
        make_video("face.mp4", frames=24, rate_hz=12, width_px=160, height_px=120, paint=paint([(30, 80)]))
    )
    window = next(iter(analyzer_windows(told, extracted)))
    (text,) = told.see(extracted)([window]).contexts
    assert text.startswith("Detectors saw in this clip: ")
    assert text.endswith(".\n")
    assert "face" in text
    assert plain.see(extracted)([window]).contexts == ()
    ours, without = (each.score_windows(extracted).posteriors["implicit"] for each in (told, plain))
    assert not torch.allclose(torch.tensor(ours), torch.tensor(without))
    # each label set asked for alone says the same as both together, whatever is told of a window
    alone = told.scorer.judge_windows(told.see(extracted)([window]), ["explicit"])["explicit"].posterior[0]
    both = told.scorer.judge_windows(told.see(extracted)([window]), ["implicit", "explicit"])["explicit"].posterior[0]
    assert alone.tolist() == pytest.approx(both.tolist(), abs=1e-4)
    assert told.run.record.identity.digest != plain.run.record.identity.digest


def test_it_answers_examples_of_any_label_set_by_its_name(video_llava_folder, make_video, tmp_path):
    make_video("1.mp4", frames=24, rate_hz=12)
    asked = [
        Example(
            id=f"set/1#{task}-{labels}", video="1.mp4", start_s=0.0, end_s=2.0, task=task, labels=labels,
            instruction=instruction, answer="", split="val", group="1",
        )
        for task, labels, instruction in (
            ("identify", "implicit", IMPLICIT.identify),
            ("identify", "anomaly", "Which anomaly does this video show?"),
            ("locate", "explicit", EXPLICIT.locate),
            ("attribute", "implicit", "Tell me why, in words that nobody taught."),
        )
    ]  # fmt: skip
    append(tmp_path / "examples.jsonl", asked)
    ended = predict(
        tmp_path / "examples.jsonl", tmp_path, system(str(video_llava_folder), FeatureCache(tmp_path / "cache")),
        tmp_path / "out.jsonl",
    )  # fmt: skip
    assert (ended.answered, ended.unparsed, ended.failed) == (4, 0, ())
    said = {one.example_id.partition("#")[2]: one for one in records(tmp_path / "out.jsonl", Prediction)}
    assert {one.system.rpartition("@")[0] for one in said.values()} == {str(video_llava_folder)}
    assert set(said["identify-implicit"].posterior) == set(IMPLICIT.labels)
    assert sum(said["identify-anomaly"].posterior.values()) == pytest.approx(1.0, abs=1e-4)


def test_what_is_no_video_llm_of_a_known_family_is_refused_with_the_families(tmp_path):
    def folder(name: str, config: str | None) -> str:
        (tmp_path / name).mkdir()
        if config is not None:
            (tmp_path / name / "config.json").write_text(config)
        return str(tmp_path / name)

    for name in ("llama", "clip_vision_model"):
        with pytest.raises(WeightsError, match=rf"{name}'.*llava_onevision, .*video_llava"):
            model_folder(folder(name, f'{{"model_type": "{name}"}}'))
    with pytest.raises(WeightsError, match="names no model_type"):
        model_folder(folder("other", "[]"))
    with pytest.raises(InputError, match=r"no finished run, and without a config\.json"):
        model_folder(folder("nothing", None))


def test_ways_of_asking_a_plain_model_are_refused_by_others(video_llava_folder):
    check_system(str(video_llava_folder), AnalyzerConfig(contextual=True))
    for model in ("compact", f"query:{video_llava_folder}"):
        with pytest.raises(InputError, match="not a plain Video-LLM"):
            check_system(model, AnalyzerConfig(contextual=True))
    with pytest.raises(InputError, match="not a plain Video-LLM"):
        load("compact", AnalyzerConfig(scene_text=True))
