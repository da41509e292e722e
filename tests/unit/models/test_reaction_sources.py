"""``features.json``: how a folder's tables are made, and what of it a run folder keeps."""

import pytest

from omnisila.errors import DataSetError
from omnisila.models.baselines.bilstm import BiLSTMConfig
from omnisila.models.reaction_run import ReactionRecord, load_reaction
from omnisila.models.reaction_sources import (
    DescribedSource,
    PooledSource,
    StreamSources,
    read_sources,
    write_sources,
)
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.weights import FOLDER

POOLED = PooledSource(backbone="somewhere", frames=8, pooling="sequence")
DESCRIBED = DescribedSource(backbone="somewhere", frames=1, sentences="roberta")
PAPER = ReactionFeatureConfig.paper()


def test_what_is_written_is_read_and_absent_is_unknown(tmp_path):
    assert read_sources(tmp_path) == StreamSources()
    sources = StreamSources(features=PAPER, pooled=POOLED, described={"text-llava": DESCRIBED})
    write_sources(tmp_path, sources)
    assert read_sources(tmp_path) == sources
    (tmp_path / "features.json").write_text('{"features": {"sight": 1}}')
    with pytest.raises(DataSetError, match=r"features\.json: not how tables were made"):
        read_sources(tmp_path)


def test_a_row_keeps_what_its_own_streams_are_made_by():
    known = StreamSources(features=PAPER, pooled=POOLED, described={"text-llava": DESCRIBED})
    assert known.of(["pooled-2"]) == StreamSources(pooled=POOLED)
    assert known.of(["visual", "audio"]).features == PAPER.replace(text="none")
    assert known.of(["visual", "text-clip"]) == StreamSources(features=PAPER)
    described = known.of(["visual", "text-llava"])
    assert described.features == PAPER.replace(text="descriptions", sentences="roberta")
    assert described.described == {"text-llava": DESCRIBED}
    assert known.of(["visual", "text-video-llava-1"]).features is None
    nameless = StreamSources(features=ReactionFeatureConfig.embedded())
    assert nameless.of(["visual", "text-clip"]).features is None
    assert nameless.of(["visual", "text-llava"]).features is None
    assert nameless.of(["visual"]) == nameless


def test_sources_count_in_a_records_identity_and_a_device_does_not():
    known = {"name": "tiny", "model": BiLSTMConfig(), "widths": {"visual": 5}, "streams": {"visual": "visual"}}
    old = ReactionRecord(**known, train_mean=(0.0,) * 7)
    embedded = ReactionFeatureConfig.embedded()
    with_features = old.replace(features=embedded)
    assert len({one.identity.digest for one in (old, with_features, old.replace(pooled=POOLED))}) == 3
    assert old.replace(features=embedded.replace(device="cpu")).identity == with_features.identity
    content = old.model_dump(exclude={"features", "pooled", "described"})  # as records were written before
    assert ReactionRecord.model_validate(content).identity == old.identity


def test_the_digest_of_networks_is_the_same_whatever_is_read_and_another_with_other_networks(tmp_path):
    face = ReactionFeatureConfig.embedded()
    assert face.replace(modalities=("fau",), device="cpu").networks_digest == face.networks_digest
    assert face.replace(crop="frame").networks_digest != face.networks_digest
    known = StreamSources(features=face, networks={**face.networks, "text-clip": "0" * 64})
    write_sources(tmp_path, known)
    assert read_sources(tmp_path).features_digest(["visual", "fau"]) == face.networks_digest
    assert known.features_digest(["visual", "text-clip"]) != face.networks_digest
    assert known.features_digest(["visual", "text-llava"]) is None  # nobody kept who made these texts
    assert known.features_digest(["pooled-1"]) is None
    assert StreamSources(features=face).features_digest(["visual"]) is None  # a file of an earlier version
    assert known.of(["visual"]).networks == face.networks


def test_the_installed_model_says_which_networks_it_was_made_on():
    record = load_reaction(FOLDER / "compact-reaction").record
    assert record.features is not None
    assert record.features_digest == record.features.networks_digest
