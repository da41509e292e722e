"""Windows of a reaction analysis, what is missing over them, merging with events, and probes of a Video-LLM."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisila.errors import InputError
from omnisila.inference.analyzer import AnalyzerConfig
from omnisila.inference.both import split_settings
from omnisila.inference.clip_streams import clip_streams
from omnisila.inference.reacting import Measured, ReactionAnalyzer, clip_windows, missing_over_time
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction_run import ReactionRecord, ReactionRun
from omnisila.models.reaction_sources import PooledSource
from omnisila.scenes.reaction.cache import ReactionCache
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.schema import Span

REACTION = AnalyzerConfig(labels=("reaction",))


def spans(*given):
    return [(one.start_s, one.end_s) for one in clip_windows(*given)]


def test_the_last_window_reaches_the_end():
    assert spans(20.0, 10.0) == [(0, 10), (10, 20)]
    assert spans(26.0, 10.0) == [(0, 10), (10, 20), (20, 26)]
    assert spans(24.0, 10.0) == [(0, 10), (10, 24)]  # a rest of 4 s is no clip of its own
    assert spans(3.0, 10.0) == [(0, 3)]
    assert spans(20.0, 10.0, 5.0) == [(0, 10), (5, 15), (10, 20)]
    with pytest.raises(InputError, match="unseen"):
        clip_windows(20.0, 10.0, 11.0)


@settings(deadline=None)
@given(st.floats(0.1, 500.0), st.floats(0.5, 30.0), st.floats(0.2, 1.0))
def test_windows_cover_the_video_and_none_is_tiny(end_s, window_s, overlap):
    found = clip_windows(end_s, window_s, window_s * overlap)
    assert found[0].start_s == 0
    assert found[-1].end_s == end_s
    assert all(after.start_s <= before.end_s for before, after in pairwise(found))
    assert all(one.duration_s <= 1.5 * window_s + 1e-3 for one in found)
    assert len(found) == 1 or all(one.duration_s >= 0.5 * window_s for one in found)


def measured(*missing, blind=False):
    return Measured(Span(start_s=0, end_s=1), {}, missing, blind, (), {})


def test_what_is_missing_is_counted_in_one_line():
    assert list(missing_over_time([measured(), measured("text")])) == []
    assert list(missing_over_time([measured("face"), measured()])) == ["of 2 windows: no face in 1"]
    (line,) = missing_over_time([measured("face", "fau", "audio", blind=True), measured("audio"), measured()])
    assert line.startswith("of 3 windows: no face in 1; no sound in 2; nothing that the model reads in 1, whose")


def test_what_is_asked_of_both_is_split():
    asked = AnalyzerConfig(labels=("reaction", "implicit"), rate_hz=2.0, max_fnr=0.1, hop_s=4.0)
    events, reactions = split_settings(asked, "reaction")
    assert events == AnalyzerConfig(labels=("implicit",), rate_hz=2.0, max_fnr=0.1)
    assert reactions == AnalyzerConfig(labels=("reaction",), hop_s=4.0)
    with pytest.raises(InputError, match="window 2 s"):
        split_settings(asked.replace(window_s=2.0), "reaction")


def run(config, widths, **more):
    torch.manual_seed(0)
    record = ReactionRecord(
        name="tiny", model=config, widths=widths, streams=more.pop("streams", {name: name for name in widths}),
        train_mean=(0.5,) * 7, **more,
    )  # fmt: skip
    return ReactionRun(config.build(widths).eval(), record)


def test_streams_that_nobody_says_how_to_make_are_refused(tmp_path):
    silent = run(BiLSTMConfig(width=4, layers=1), {"fau": 24})
    with pytest.raises(InputError, match="does not say how fau are made"):
        ReactionAnalyzer(silent, REACTION, ReactionCache(tmp_path))


@pytest.mark.parametrize("widths", [{"fau": 23}, {"fau": 24}])
def test_features_of_another_width_or_kind_are_refused(tmp_path, make_video, widths):
    other = run(
        BiLSTMConfig(width=4, layers=1),
        widths,
        features=ReactionFeatureConfig.embedded(),
        kinds={"fau": "action_units"},
    )
    streams = clip_streams(other.record, ReactionCache(tmp_path))
    with pytest.raises(InputError, match="modality 'fau' is 24 numbers of expression_proxy"):
        streams.read(make_video(frames=3), Span(start_s=0, end_s=0.2))


def test_all_masked_clips_still_get_an_answer(tmp_path, make_video):
    blind = run(BiLSTMConfig(width=4, layers=1), {"fau": 24}, features=ReactionFeatureConfig.embedded())
    analysis = ReactionAnalyzer(blind, REACTION, ReactionCache(tmp_path)).analyze(make_video(frames=3))
    assert analysis.intensities is not None
    assert list(analysis.intensities) == list(blind.record.labels)
    assert len(analysis.intensity_curve) == 1
    assert any("nothing that the model reads in 1" in line for line in analysis.warnings)


def test_a_probe_reads_its_backbones_tokens(tmp_path, make_video, video_llava_folder):
    pooled = PooledSource(backbone=str(video_llava_folder), frames=2, pooling="sequence")
    width = 24
    probe = run(ProbeConfig(hidden=3), {"pooled": width}, streams={"pooled": "pooled-2"}, pooled=pooled)
    analyzer = ReactionAnalyzer(probe, REACTION.replace(window_s=1.0), ReactionCache(tmp_path))
    read = analyzer.streams.read(make_video(frames=24, rate_hz=12), Span(start_s=0.0, end_s=1.0))
    assert read.batch.values["pooled"].shape[:2] == (1, 1)
    assert read.missing == ()
    analysis = analyzer.analyze(make_video(frames=24, rate_hz=12))
    assert len(analysis.intensity_curve) == 2
    with pytest.raises(InputError, match="pooled-3"):
        clip_streams(probe.record.replace(streams={"pooled": "pooled-3"}), ReactionCache(tmp_path))
