"""How stretches of a video become what a reaction run reads: as in its training, or refused."""

import shutil

import pytest
import torch

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import InputError
from omnisila.inference.clip_streams import FeatureStreams, clip_streams
from omnisila.inference.frozen_llm import TEXT_STREAMS
from omnisila.inference.reacting import ReactionAnalyzer
from omnisila.inference.settings import AnalyzerConfig
from omnisila.inference.systems import ReactionSystem
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.probing import ProbeConfig
from omnisila.models.reaction_run import save_reaction
from omnisila.models.reaction_sources import DescribedSource, PooledSource, StreamSources, read_sources, write_sources
from omnisila.recipes.streams.asked import Description, described_features
from omnisila.records import records
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import ReactionCache
from omnisila.schema import Span
from omnisila.training.reaction_tables import read_stream

REACTION = AnalyzerConfig(labels=("reaction",))
EMBEDDED = ReactionFeatureConfig.embedded()
SECOND = Span(start_s=0, end_s=1)


def test_streams_that_nobody_says_how_to_make_are_refused(reaction_run, tmp_path):
    silent = reaction_run(BiLSTMConfig(width=4, layers=1), {"fau": 24})
    with pytest.raises(InputError, match="does not say how fau are made"):
        ReactionAnalyzer(silent, REACTION, ReactionCache(tmp_path))


@pytest.mark.parametrize("widths", [{"fau": 23}, {"fau": 59}])
def test_features_of_another_width_or_kind_are_refused(reaction_run, tmp_path, make_video, widths):
    other = reaction_run(
        BiLSTMConfig(width=4, layers=1),
        widths,
        features=ReactionFeatureConfig.embedded(),
        kinds={"fau": "action_units"},
    )
    streams = clip_streams(other.record, ReactionCache(tmp_path))
    with pytest.raises(InputError, match="modality 'fau' is 59 numbers of blendshapes"):
        streams.read(make_video(frames=3), Span(start_s=0, end_s=0.2))


def test_features_of_other_programs_tables_cannot_be_made_of_a_video(reaction_run, tmp_path, make_video):
    given = EMBEDDED.replace(given={"fau": 32, "face": 5})
    tables = reaction_run(BiLSTMConfig(width=4, layers=1), {"fau": 32}, features=given)
    with pytest.raises(InputError, match=r"tiny: fau came from another program's tables.*fau without --tables"):
        ReactionAnalyzer(tables, REACTION, ReactionCache(tmp_path))
    save_reaction(tmp_path / "run", tables.model, tables.record)
    with pytest.raises(InputError, match="fau came from another"):
        ReactionSystem(str(tmp_path / "run"))
    sound = reaction_run(BiLSTMConfig(width=4, layers=1), {"audio": EMBEDDED.build().widths["audio"]}, features=given)
    read = clip_streams(sound.record, ReactionCache(tmp_path)).read(make_video(audio_s=1.0), SECOND)
    assert not any("table" in line for line in read.warnings)  # of what the model does not read


def test_networks_that_changed_since_training_are_refused(reaction_run, tmp_path, networks, make_video):
    config = EMBEDDED.replace(visual=str(tmp_path / "vit"), frames=3)
    shutil.copytree(networks / "vit", tmp_path / "vit")
    trained = reaction_run(
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
    reaction_run, tmp_path, make_video, networks, video_llava_folder, prompt
):
    make_video("1.mp4", frames=24, rate_hz=12)
    source = DescribedSource(backbone=str(video_llava_folder), frames=2, sentences=str(networks / "roberta"))
    config = EMBEDDED.replace(frames=3)
    write_sources(tmp_path, StreamSources(features=config, networks=config.networks))
    clip = AnnotatedVideo(id="1", path="1.mp4", labels={"reaction": None}, split="train", sources=("1",))
    described_features(source, prompt, [clip], tmp_path, tmp_path)
    stream = TEXT_STREAMS[prompt]
    table = read_stream(tmp_path / f"{stream}.safetensors")
    digest, sources = read_sources(tmp_path).features_digest([stream]), read_sources(tmp_path).of([stream])
    reader = reaction_run(
        BiLSTMConfig(width=4, layers=1), {"text": 16}, streams={"text": stream}, kinds={"text": table.kind},
        features=sources.features, described=sources.described, features_digest=digest,
    )  # fmt: skip
    assert digest is not None
    whole, streams = Span(start_s=0, end_s=2), clip_streams(reader.record, ReactionCache(tmp_path / "cache"))
    assert isinstance(streams, FeatureStreams)
    (said,) = records(tmp_path / f"descriptions-{prompt}.jsonl", Description)
    assert streams.describer.describe(tmp_path / "1.mp4", (0.0, 2.0), prompt, 3) == said.text
    read = streams.read(tmp_path / "1.mp4", whole)
    assert read.batch.masks["text"].equal(table.mask)
    assert read.batch.masks["text"].all()
    torch.testing.assert_close(read.batch.values["text"], table.values.float())
    assert read.seconds["description"] > 0
    with pytest.raises(InputError, match="'text-other': nobody says"):
        clip_streams(
            reader.record.replace(streams={"text": "text-other"}, described={"text-other": source}), streams.cache
        )


def test_a_probe_reads_its_backbones_tokens(reaction_run, tmp_path, make_video, video_llava_folder):
    pooled = PooledSource(backbone=str(video_llava_folder), frames=2, pooling="sequence")
    probe = reaction_run(ProbeConfig(hidden=3), {"pooled": 24}, streams={"pooled": "pooled-2"}, pooled=pooled)
    analyzer = ReactionAnalyzer(probe, REACTION.replace(window_s=1.0), ReactionCache(tmp_path))
    read = analyzer.streams.read(make_video(frames=24, rate_hz=12), Span(start_s=0.0, end_s=1.0))
    assert read.batch.values["pooled"].shape[:2] == (1, 1)
    assert read.missing == ()
    assert read.batch.values["pooled"].equal(read.batch.values["pooled"].half().float())  # as tables keep it
    analysis = analyzer.analyze(make_video(frames=24, rate_hz=12))
    assert len(analysis.intensity_curve) == 2
    with pytest.raises(InputError, match="pooled-3"):
        clip_streams(probe.record.replace(streams={"pooled": "pooled-3"}), ReactionCache(tmp_path))
