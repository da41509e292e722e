"""The whole full profile over a drawn clip, with tiny networks: the same records as the embedded one, other layouts."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch

from omnisila.data.causes.evidence import seen_in
from omnisila.errors import WeightsError
from omnisila.media.frames import LumaFrame
from omnisila.media.video import VideoReader
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.extractor import SceneShard
from omnisila.scenes.full.checkpoints import Checkpoints
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.profile import Profile, SceneModeling
from omnisila.scenes.sem import SceneEnrichedModeling, SEMConfig
from omnisila.scenes.windows import WindowConfig, stack, windows
from omnisila.schema import Span

WINDOW = WindowConfig(rate_hz=8.0)
STREAMS = ("visual", "objects", "face", "action", "relation", "background")


def drifting(index: int, width_px: int, height_px: int) -> np.ndarray:
    texture = np.random.default_rng(0).integers(0, 255, (height_px // 4, width_px // 4, 3), dtype=np.uint8)
    return np.roll(np.kron(texture, np.ones((4, 4, 1), np.uint8)), index, axis=1)


@pytest.fixture(scope="module")
def full(config: FullSEMConfig) -> SceneEnrichedModeling:
    return config.build()


@pytest.fixture
def video(make_video: Callable[..., Path]) -> Path:
    return make_video(frames=24, width_px=96, height_px=64, paint=drifting)


@pytest.fixture
def samples(video: Path, config: FullSEMConfig) -> list[LumaFrame]:
    return list(VideoReader(video).with_luma(config.rate_hz, config.luma_per_frame))


@pytest.fixture
def shard(full: SceneEnrichedModeling, samples: list[LumaFrame]) -> SceneShard:
    (only,) = full.extract(samples)
    return only


def test_both_profiles_meet_the_protocol(full: SceneEnrichedModeling, config: FullSEMConfig) -> None:
    assert isinstance(config, Profile)
    assert isinstance(SEMConfig(), Profile)
    assert isinstance(full, SceneModeling)


def test_every_scene_has_the_paper_s_features_at_its_rate(shard: SceneShard) -> None:
    layouts = shard.layouts
    assert layouts["relation"].features["predicate"] + 2 * layouts["relation"].features["subject"] == 353
    assert list(layouts["relation"].features)[:3] == ["predicate", "subject", "object"]
    assert layouts["action"].features["joints"] + layouts["action"].features["tags"] == 17 * 5
    assert layouts["background"].width == 24
    assert {name: shard.streams[name].rate_hz for name in STREAMS} == dict.fromkeys(STREAMS, 8.0) | {"background": 1.0}
    for name in STREAMS:
        stream = shard.streams[name]
        assert stream.values.shape[2] == layouts[name].width
        assert not stream.values[~stream.mask].any()
    assert shard.streams["action"].mask.any()
    assert shard.streams["relation"].mask.any()
    assert shard.streams["background"].mask.all()


def test_chunks_change_no_feature(full: SceneEnrichedModeling, samples: list[LumaFrame], shard: SceneShard) -> None:
    config = cast("FullSEMConfig", full.config).replace(chunk_frames=5, shard_s=1.0)
    other = SceneEnrichedModeling(config, full.objects, full.extractors)
    parts = list(other.extract(samples))
    assert len(parts) == 2
    for name in STREAMS:
        found = torch.cat([part.streams[name].values for part in parts])
        assert torch.equal(torch.cat([part.streams[name].mask for part in parts]), shard.streams[name].mask), name
        torch.testing.assert_close(found, shard.streams[name].values, atol=4e-3, rtol=4e-3, msg=name)


def test_evidence_names_what_the_scene_graph_names(shard: SceneShard) -> None:
    evidence, summary = seen_in([shard], [Span(start_s=0.0, end_s=2.0)])
    assert {(triplet.subject, triplet.predicate, triplet.object) for triplet in evidence.triplets} == {
        ("man", "on", "man")
    }
    assert not evidence.objects, "people are evidence by their poses"
    assert {len(person.joints) for person in evidence.people} == {17}
    assert summary.moving_frac is None


def test_windows_leave_the_pictures_to_the_language_model(shard: SceneShard) -> None:
    cut = list(windows([shard], WINDOW))
    batch = stack(cut)
    assert batch.visual.values.shape == (2, 8, 1, 0)
    assert batch.visual.mask.all()
    assert cut[1].times_s == tuple(1.0 + i / 8 for i in range(8))
    for name in ("face", "action", "relation", "background"):
        assert batch.scenes[name].values.shape[-1] == shard.layouts[name].feature_width


def test_the_cache_keeps_the_layouts(
    full: SceneEnrichedModeling, video: Path, shard: SceneShard, tmp_path: Path
) -> None:
    FeatureCache(tmp_path / "cache").ensure_features(video, full)
    cache = FeatureCache(tmp_path / "cache")
    again = cache.ensure_features(video, full)
    assert again.seconds == {}, "it was there"
    (cached,) = cache.shards(again)
    assert dict(cached.layouts) == dict(shard.layouts)
    for name in STREAMS:
        assert torch.equal(cached.streams[name].mask, shard.streams[name].mask)


def test_without_its_own_checkpoints_the_embedded_networks_stand_in(
    config: FullSEMConfig, samples: list[LumaFrame]
) -> None:
    fewer = config.replace(checkpoints=config.checkpoints.replace(relation=None, expression=None))
    (shard,) = fewer.build().extract(samples[:2])
    assert shard.layouts["relation"].words["predicate"][0] == "holding"
    assert shard.layouts["face"].features["embedding"] == 256
    assert fewer.digest != config.digest


def test_the_digest_follows_what_is_in_the_files_not_where_they_lie(
    config: FullSEMConfig, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(published, tmp_path / "elsewhere")
    monkeypatch.setenv("OMNISILA_MODELS", str(tmp_path / "elsewhere"))
    moved = Checkpoints(
        pose="pose.pth", relation="relation.safetensors", segmentation="sam", background="vit", expression="expression"
    )
    assert config.replace(checkpoints=moved).digest == config.digest
    assert config.replace(device="cuda").digest == config.digest
    assert config.replace(dtype="bfloat16").digest != config.digest
    (tmp_path / "elsewhere" / "vit" / "preprocessor_config.json").write_text('{"image_mean": [0, 0, 0]}')
    assert config.replace(checkpoints=moved).digest != config.digest
    assert FullSEMConfig.model_validate_json(config.model_dump_json()) == config


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("pose", "pose.pth: no such checkpoint.*HigherHRNet.*OMNISILA_MODELS"),
        ("relation", "relation.pth: no such checkpoint.*RelTR"),
        ("segmentation", "segmentation.pth: no such folder"),
        ("background", "background.pth: no such folder"),
        ("expression", "expression.pth: no such folder"),
    ],
)
def test_a_missing_checkpoint_is_named_with_the_next_step(config: FullSEMConfig, missing: str, said: str) -> None:
    gone = config.replace(checkpoints=config.checkpoints.replace(**{missing: f"{missing}.pth"}))
    with pytest.raises(WeightsError, match=said) as error:
        gone.build()
    assert "\n" not in str(error.value)
    with pytest.raises(WeightsError, match=said):
        _ = gone.digest


def test_half_precision_sees_nearly_the_same(
    config: FullSEMConfig, samples: list[LumaFrame], full: SceneEnrichedModeling
) -> None:
    half = config.replace(dtype="bfloat16").build()
    (rough,), (exact,) = half.extract(samples[:1]), full.extract(samples[:1])
    torch.testing.assert_close(
        rough.streams["background"].values, exact.streams["background"].values, atol=0.2, rtol=0.1
    )
    assert rough.streams["action"].values.isfinite().all()
    assert rough.streams["relation"].values.isfinite().all()
