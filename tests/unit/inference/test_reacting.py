"""Windows of a reaction analysis, what is missing over them, merging with events, and probes of a Video-LLM."""

import shutil
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import InputError
from omnisila.inference.analyzer import AnalyzerConfig
from omnisila.inference.both import split_settings
from omnisila.inference.clip_streams import FeatureStreams, clip_streams
from omnisila.inference.describing import TEXT_STREAMS
from omnisila.inference.reacting import Measured, ReactionAnalyzer, clip_windows, missing_over_time
from omnisila.inference.reaction_system import ReactionSystem
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction_run import ReactionRecord, ReactionRun, save_reaction
from omnisila.models.reaction_sources import DescribedSource, PooledSource, StreamSources, read_sources, write_sources
from omnisila.recipes.reaction_asking import STREAMS, described_features
from omnisila.recipes.reaction_texts import Description
from omnisila.records import records
from omnisila.scenes.reaction.cache import ReactionCache
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.schema import Example, Span
from omnisila.training.reaction_tables import read_stream

REACTION = AnalyzerConfig(labels=("reaction",))
EMBEDDED = ReactionFeatureConfig.embedded()
SECOND = Span(start_s=0, end_s=1)


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
    assert list(missing_over_time([measured(), measured("visual")])) == []
    assert list(missing_over_time([measured(), measured("text")])) == ["of 2 windows: no text in 1"]
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


def test_all_masked_clips_get_the_means_of_training_and_it_is_said(tmp_path, make_video):
    blind = run(BiLSTMConfig(width=4, layers=1), {"fau": 24}, features=EMBEDDED, scored=("Fear", "Surprise"))
    means = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    blind = blind._replace(record=blind.record.replace(train_mean=means))
    analysis = ReactionAnalyzer(blind, REACTION, ReactionCache(tmp_path)).analyze(make_video(frames=3))
    assert analysis.intensities == {"Fear": 0.6, "Surprise": 0.7}
    assert [point.intensities for point in analysis.intensity_curve] == [analysis.intensities]
    (line,) = (line for line in analysis.warnings if "nothing that the model reads in 1" in line)
    assert line.endswith("whose intensities are the means of its training data")


def test_features_of_other_programs_tables_cannot_be_made_of_a_video(tmp_path, make_video):
    given = EMBEDDED.replace(given={"fau": 32, "face": 5})
    tables = run(BiLSTMConfig(width=4, layers=1), {"fau": 32}, features=given)
    with pytest.raises(InputError, match=r"tiny: fau came from another program's tables.*fau without --tables"):
        ReactionAnalyzer(tables, REACTION, ReactionCache(tmp_path))
    save_reaction(tmp_path / "run", tables.model, tables.record)
    with pytest.raises(InputError, match="fau came from another"):
        ReactionSystem(str(tmp_path / "run"))
    sound = run(BiLSTMConfig(width=4, layers=1), {"audio": EMBEDDED.build().widths["audio"]}, features=given)
    read = clip_streams(sound.record, ReactionCache(tmp_path)).read(make_video(audio_s=1.0), SECOND)
    assert not any("table" in line for line in read.warnings)  # of what the model does not read


def test_networks_that_changed_since_training_are_refused(tmp_path, networks, make_video):
    config = EMBEDDED.replace(visual=str(tmp_path / "vit"), frames=3)
    shutil.copytree(networks / "vit", tmp_path / "vit")
    trained = run(
        BiLSTMConfig(width=4, layers=1), {"visual": 24}, features=config, features_digest=config.networks_digest
    )
    cache = ReactionCache(tmp_path / "cache")
    assert clip_streams(trained.record, cache).read(make_video(frames=3), SECOND).missing == ("face",)
    other = tmp_path / "vit" / "config.json"
    other.write_text(other.read_text().replace('"hidden_act": "gelu"', '"hidden_act": "relu"'))
    with pytest.raises(InputError, match=r"tiny: the networks that make its features have digest .* use omnisila \S+"):
        clip_streams(trained.record, cache)
    assert clip_streams(trained.record.replace(features_digest=None), cache)  # runs of earlier versions


@pytest.mark.parametrize("prompt", TEXT_STREAMS)
def test_a_new_video_is_described_as_the_training_clips_were(
    tmp_path, make_video, networks, video_llava_folder, prompt
):
    assert TEXT_STREAMS == STREAMS
    make_video("1.mp4", frames=24, rate_hz=12)
    source = DescribedSource(backbone=str(video_llava_folder), frames=2, sentences=str(networks / "roberta"))
    config = EMBEDDED.replace(frames=3)
    write_sources(tmp_path, StreamSources(features=config, networks=config.networks))
    clip = AnnotatedVideo(id="1", video="1.mp4", labels="reaction", split="train", group="1")
    described_features(source, prompt, [clip], tmp_path, tmp_path)
    stream = TEXT_STREAMS[prompt]
    table = read_stream(tmp_path / f"{stream}.safetensors")
    digest, sources = read_sources(tmp_path).features_digest([stream]), read_sources(tmp_path).of([stream])
    reader = run(
        BiLSTMConfig(width=4, layers=1), {"text": 16}, streams={"text": stream}, kinds={"text": table.kind},
        features=sources.features, described=sources.described, features_digest=digest,
    )  # fmt: skip
    whole, streams = Span(start_s=0, end_s=2), clip_streams(reader.record, ReactionCache(tmp_path / "cache"))
    assert isinstance(streams, FeatureStreams)
    assert streams.describer is not None
    (said,) = records(tmp_path / f"descriptions-{prompt}.jsonl", Description)
    assert streams.describer.text(tmp_path / "1.mp4", whole) == said.text
    read = streams.read(tmp_path / "1.mp4", whole)
    assert read.batch.masks["text"].equal(table.mask)
    assert read.batch.masks["text"].all()
    torch.testing.assert_close(read.batch.values["text"], table.values.float())
    assert read.seconds["description"] > 0
    with pytest.raises(InputError, match="'text-other': nobody says"):
        clip_streams(
            reader.record.replace(streams={"text": "text-other"}, described={"text-other": source}), streams.cache
        )


def test_examples_without_length_are_refused(tmp_path):
    tiny = run(BiLSTMConfig(width=4, layers=1), {"fau": 24}, features=EMBEDDED)
    save_reaction(tmp_path, tiny.model, tiny.record)
    example = Example(
        id="a#react", video="a.mp4", start_s=1.0, end_s=1.0, task="react", labels="reaction", instruction="?",
        answer="", split="val", group="a",
    )  # fmt: skip
    with pytest.raises(InputError, match="a#react: from 1 s to 1 s there is nothing to see"):
        next(ReactionSystem(str(tmp_path)).predictions(tmp_path / "a.mp4", [example]))


def test_a_probe_reads_its_backbones_tokens(tmp_path, make_video, video_llava_folder):
    pooled = PooledSource(backbone=str(video_llava_folder), frames=2, pooling="sequence")
    width = 24
    probe = run(ProbeConfig(hidden=3), {"pooled": width}, streams={"pooled": "pooled-2"}, pooled=pooled)
    analyzer = ReactionAnalyzer(probe, REACTION.replace(window_s=1.0), ReactionCache(tmp_path))
    read = analyzer.streams.read(make_video(frames=24, rate_hz=12), Span(start_s=0.0, end_s=1.0))
    assert read.batch.values["pooled"].shape[:2] == (1, 1)
    assert read.missing == ()
    assert read.batch.values["pooled"].equal(read.batch.values["pooled"].half().float())  # as tables keep it
    analysis = analyzer.analyze(make_video(frames=24, rate_hz=12))
    assert len(analysis.intensity_curve) == 2
    with pytest.raises(InputError, match="pooled-3"):
        clip_streams(probe.record.replace(streams={"pooled": "pooled-3"}), ReactionCache(tmp_path))
