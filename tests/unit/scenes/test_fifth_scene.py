"""A fifth scene is one extractor and one entry of the table: it is extracted, trained, analysed and shown."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.causes.attribution import clauses
from omnisila.data.causes.evidence import seen_in
from omnisila.inference.load import load
from omnisila.inference.settings import AnalyzerConfig
from omnisila.media.video import VideoReader
from omnisila.models.checkpoint import save_run
from omnisila.models.compact import CompactConfig
from omnisila.models.experts import ExpertConfig
from omnisila.models.iec import IECConfig
from omnisila.recipes.rows.compact import Material, tune_scenes, tune_task
from omnisila.recipes.rows.icm import CompactICM
from omnisila.report.page import render_page
from omnisila.report.previews import collect_media
from omnisila.scene_registry import SCENES, Scene, register
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.extractor import Layout, Sampled, SceneStream
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import WindowConfig
from omnisila.schema import Analysis, SceneEvidence, Span
from omnisila.spans import LabelledSpan
from omnisila.training.bank import build_bank
from omnisila.training.heads import HeadTuningConfig
from omnisila.training.loop import LoopConfig
from omnisila.training.stages import SceneTuningConfig, TaskTuningConfig


class ToneExtractor(SceneExtractor):
    """One entity twice a second: the mean of each colour channel."""

    layout = Layout({"tone": 3})
    rate_hz = 2.0

    def extract(self, chunk: Chunk, state: None) -> tuple[Sampled, None]:
        means = chunk.pictures(self.rate_hz).float().mean(dim=(1, 2)) / 255
        return Sampled(means[:, None], torch.ones(len(means), 1, dtype=torch.bool)), state

    @staticmethod
    def evidence(stream: SceneStream, layout: Layout) -> tuple[SceneEvidence, ...]:
        shades = zip(stream.times_s.tolist(), layout.read(stream.values, "tone").float().mean((1, 2)), strict=True)
        return tuple(
            SceneEvidence(time_s=time_s, scene="tone", name="a pale tone" if shade > 0.5 else "a deep tone", score=0.9)
            for time_s, shade in shades
        )


TONE = Scene(
    name="tone",
    expert="TNE",
    title="Tone",
    description="tone",
    aspect="the tone: how light and how coloured the picture is",
    colours=("#a04090", "#d080c0"),
    extractors={"embedded": f"{__name__}:ToneExtractor"},
    evidence={"others": f"{__name__}:ToneExtractor.evidence"},
    version="1",
)

LOOP = LoopConfig(steps=4)
RECIPE = CompactICM(
    labels={"implicit": ("Fire", "Normal")},
    set_weights={"implicit": {"s": 1.0}},
    votes=None,
    left_out=("face", "action", "relation"),  # nothing of them is drawn
    expert=ExpertConfig(width=16, num_layers=1, num_heads=2),
    iec=IECConfig(centres=4),
    video_llm=CompactConfig(width=32, num_layers=1, num_heads=2, feedforward=32),
    scene_tuning=SceneTuningConfig(loop=LOOP, batch_size=8),
    head_tuning=HeadTuningConfig(loop=LOOP, batch_size=8),
    task_tuning=TaskTuningConfig(loop=LOOP, batch_size=8, causes=2),
)


def grey(level: int) -> Callable[[int, int, int], np.ndarray]:
    return lambda index, width_px, height_px: np.full((height_px, width_px, 3), level + 2 * (index % 3), np.uint8)


@pytest.fixture
def tone() -> Iterator[Scene]:
    register(TONE)
    yield TONE
    del SCENES["tone"]


def test_a_scene_without_a_version_or_with_a_taken_name_is_refused(tone: Scene):
    with pytest.raises(ValueError, match="already in the table"):
        register(tone)
    with pytest.raises(ValueError, match="no version"):
        register(Scene("x", "X", "X", "x", "x", ("#000", "#fff"), {}))


def test_features_of_another_table_are_not_taken_for_ones_own():
    four = SEMConfig().digest
    register(TONE)
    try:
        assert SEMConfig().digest != four
    finally:
        del SCENES["tone"]
    assert SEMConfig().digest == four


@pytest.mark.usefixtures("tone")
def test_a_fifth_scene_goes_all_the_way(make_video: Callable[..., Path], tmp_path: Path):
    config = SEMConfig()
    sem = config.build()
    paths = [make_video(f"{level}.mp4", frames=24, rate_hz=12, paint=grey(level)) for level in (20, 60, 180, 220)]
    shards = [
        shard
        for path in paths
        for shard in sem.extract(VideoReader(path).with_luma(config.rate_hz, config.luma_per_frame))
    ]
    assert all(shard.streams["tone"].rate_hz == 2.0 for shard in shards)
    bank = build_bank([(number, 0, shard) for number, shard in enumerate(shards)], WindowConfig())
    said = tuple(clauses(*seen_in([shards[int(clip)]], [bank.span(i)])) for i, clip in enumerate(bank.clip))
    assert ("a pale tone", "tone") in {(clause.text, clause.scene) for clause in said[-1]}
    clips = tuple(
        AnnotatedVideo(id=path.stem, set_name="s", path=path.name, sources=(path.name,), throughout=True,
                       labels={"implicit": "Fire" if number > 1 else "Normal"})
        for number, path in enumerate(paths)
    )  # fmt: skip
    material = Material(clips, bank, said)
    model = tune_task(RECIPE, material, tune_scenes(RECIPE, material), range(len(clips)))
    assert model.scenes == ("face", "action", "relation", "background", "tone")
    save_run(tmp_path / "run", model, RECIPE.record({}))

    analyzer = load(str(tmp_path / "run"), AnalyzerConfig(labels=("implicit",)), FeatureCache(tmp_path / "cache"))
    analysis = analyzer.analyze(paths[-1])
    assert list(analysis.expert_weights[0].weights) == list(SCENES)
    for point in analysis.expert_weights:
        assert 0 < point.weights["tone"] < 1
        assert sum(point.weights.values()) == pytest.approx(1.0, abs=1e-3)
    found = LabelledSpan(Span(start_s=0.0, end_s=2.0), "Fire", 0.8)
    weights = analysis.expert_weights[0].weights
    finding = analyzer.attribute_span("implicit", found, weights, analyzer.extract_features(paths[-1]))
    assert {one.name for one in finding.evidence.others} == {"a pale tone"}
    analysis = analysis.replace(findings=(finding,))
    written = json.loads(analysis.model_dump_json())
    assert list(written["expert_weights"][0]) == [*SCENES, "start_s", "end_s"]
    assert Analysis.model_validate(written) == analysis
    page = render_page(analysis, collect_media(paths[-1], analysis), None)
    assert "a pale tone" in page
    assert "Tone" in page
    assert ".tone { --mark: #a04090; }" in page
