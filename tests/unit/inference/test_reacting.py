"""Windows of a reaction analysis, what is missing over them, merging with events, and examples answered."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisila.errors import InputError
from omnisila.inference.reacting import Measured, ReactionAnalyzer, clip_windows, missing_over_time
from omnisila.inference.settings import AnalyzerConfig, split_settings
from omnisila.inference.systems import UNSEEN, ReactionSystem
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.reaction_run import save_reaction
from omnisila.scenes.reaction.actions import COLUMNS
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import ReactionCache
from omnisila.schema import Example, Span

REACTION = AnalyzerConfig(labels=("reaction",))
EMBEDDED = ReactionFeatureConfig.embedded()


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


EXAMPLE = Example(
    id="a#react", video="a.mp4", start_s=0.0, end_s=0.0, task="react", labels="reaction", instruction="?",
    answer="", split="val", group="a",
)  # fmt: skip


def measured(*missing, blind=False):
    return Measured(Span(start_s=0, end_s=1), None if blind else {}, missing, (), {})


def test_what_is_missing_is_counted_in_one_line():
    assert list(missing_over_time([measured(), measured("visual")])) == []
    assert list(missing_over_time([measured(), measured("text")])) == ["of 2 windows: no text in 1"]
    assert list(missing_over_time([measured("face"), measured()])) == ["of 2 windows: no face in 1"]
    (line,) = missing_over_time([measured("face", "fau", "audio", blind=True), measured("audio"), measured()])
    assert line.startswith(
        "of 3 windows: no face in 1; no sound in 2; nothing that the model reads in 1, of which nothing is said"
    )


def test_what_is_asked_of_both_is_split():
    asked = AnalyzerConfig(labels=("reaction", "implicit"), rate_hz=2.0, max_fnr=0.1, hop_s=4.0)
    events, reactions = split_settings(asked)
    assert events == AnalyzerConfig(labels=("implicit",), rate_hz=2.0, max_fnr=0.1)
    assert reactions == AnalyzerConfig(labels=("reaction",), hop_s=4.0)
    with pytest.raises(InputError, match="window 2 s"):
        split_settings(asked.replace(window_s=2.0))


def test_nothing_is_measured_where_nothing_was_seen(reaction_run, tmp_path, make_video):
    blind = reaction_run(
        BiLSTMConfig(width=4, layers=1),
        {"fau": len(COLUMNS)},
        features=EMBEDDED,
        labels={"reaction": ("Fear", "Surprise")},
    )
    means = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    blind = blind._replace(record=blind.record.replace(train_mean=means))
    clip = make_video(frames=3)
    analysis = ReactionAnalyzer(blind, REACTION, ReactionCache(tmp_path)).analyze(clip)
    assert (analysis.intensities, analysis.intensity_curve) == (None, ())
    assert any("nothing that the model reads in 1, of which nothing is said" in line for line in analysis.warnings)
    save_reaction(tmp_path, blind.model, blind.record)
    (said,) = ReactionSystem(str(tmp_path)).predictions(clip, [EXAMPLE.replace(end_s=0.25)])
    assert (said.intensities, said.parse_ok, said.answer) == (None, False, UNSEEN)


def test_examples_without_length_are_refused(reaction_run, tmp_path):
    tiny = reaction_run(BiLSTMConfig(width=4, layers=1), {"fau": len(COLUMNS)}, features=EMBEDDED)
    save_reaction(tmp_path, tiny.model, tiny.record)
    with pytest.raises(InputError, match="a#react: from 0 s to 0 s there is nothing to see"):
        next(ReactionSystem(str(tmp_path)).predictions(tmp_path / "a.mp4", [EXAMPLE]))
