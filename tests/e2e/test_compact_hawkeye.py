"""A compact Hawkeye, trained for a few steps on drawn footage, analyses a video from the command line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from PIL import Image

from omnisila import weights
from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.augment import AugmentConfig
from omnisila.data.clips.features import FeatureStore, Job
from omnisila.labels import ANOMALY
from omnisila.models.checkpoint import save_run
from omnisila.operating_points import Calibration, LabelSetCalibration
from omnisila.recipes.rows import hawkeye
from omnisila.recipes.rows.compact import Material, tune_scenes, tune_task
from omnisila.scenes.sem import SEMConfig
from omnisila.scenes.windows import WindowConfig
from omnisila.schema import Analysis
from omnisila.spans import ANOMALY_CURVE, SpanShape, Thresholds
from omnisila.training.bank import bank_of
from omnisila.training.descriptions import describe_windows
from omnisila.training.loop import LoopConfig
from omnisila.training.optim import OptimConfig

TAUGHT = ("Fighting", "Shoplifting", "Accident", "Normal")
PHOTOGRAPH = np.array(Image.open(Path(__file__).parents[1] / "fixtures" / "astronaut.jpg").convert("RGB"))
Paint = Callable[[int, int, int], np.ndarray]


def somebody(index: int, width_px: int, height_px: int) -> np.ndarray:
    """A person, whom the camera does not hold still."""
    picture = Image.fromarray(np.roll(PHOTOGRAPH, (index % 3, 2 * (index % 4)), (0, 1)))
    return np.array(picture.resize((width_px, height_px)))


def nobody(index: int, width_px: int, height_px: int) -> np.ndarray:
    return np.full((height_px, width_px, 3), 90 + index % 2, np.uint8)


def first_nobody(index: int, width_px: int, height_px: int) -> np.ndarray:
    return (nobody if index < 48 else somebody)(index, width_px, height_px)


def taught(root: Path, footage: dict[str, str]) -> Material:
    """The drawn clips (path: label) as training reads them."""
    store, sem = FeatureStore(root, root / "features", SEMConfig(), AugmentConfig()), SEMConfig().build()
    clips = tuple(
        AnnotatedVideo(
            id=path, set_name="fight_surv", path=path, labels={"anomaly": label}, throughout=True, sources=(path,)
        )
        for path, label in footage.items()
    )
    for clip in clips:
        store.extract(Job(clip, 0), sem, AugmentConfig().build())
    bank = bank_of(store, clips, (0,), WindowConfig())
    return Material(clips, bank, describe_windows(store, clips, bank))


def tiny() -> hawkeye.CompactHawkeye:
    """The recipe, without votes, at a size that learns somebody from nobody in a few seconds."""
    recipe = hawkeye.CompactHawkeye(votes=None)
    assert recipe.scene_tuning is not None
    assert recipe.head_tuning is not None
    loop = LoopConfig(steps=12, optim=OptimConfig(learning_rate=0.01))
    return recipe.replace(
        width=16,
        num_heads=2,
        video_llm=recipe.video_llm.replace(width=24, num_layers=2, num_heads=2, feedforward=32),
        scene_tuning=recipe.scene_tuning.replace(loop=loop.replace(steps=2), batch_size=4),
        head_tuning=recipe.head_tuning.replace(loop=loop, batch_size=8),
        task_tuning=recipe.task_tuning.replace(loop=loop.replace(steps=40), batch_size=8),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """A run folder with calibration and card."""
    root = tmp_path_factory.mktemp("taught")
    footage: dict[str, str] = {}
    for number in range(2):
        for label, paint in (("Fighting", somebody), ("Normal", nobody)):
            path = f"{label}{number}.mp4"
            write_clip(root / path, frames=24, width_px=160 + 16 * number, height_px=160, paint=paint)
            footage[path] = label
    material, recipe = taught(root, footage), tiny()
    model = tune_task(recipe, material, tune_scenes(recipe, material), range(len(footage)))
    half = LabelSetCalibration(
        temperature=1.0,
        shape=SpanShape(smooth_s=0.0, merge_gap_s=1.0, min_duration_s=1.0),
        thresholds={ANOMALY_CURVE: Thresholds(on=0.5, off=0.4)},
    )
    calibration = Calibration(label_sets={"anomaly": half}, split="drawn", grid_hz=8.0)
    save_run(root / "run", model, recipe.record({}), calibration)
    (root / "run" / "card.md").write_text(f"# Model card\n\n{recipe.card.limits}", encoding="utf-8")
    return root / "run"


@pytest.fixture
def report(omnisila: Callable[..., Result], make_video: Callable[..., Path], run: Path, tmp_path: Path) -> Path:
    """What ``analyze`` writes of a video in which somebody appears after 4 s."""
    video = make_video("video.mp4", frames=96, width_px=160, height_px=160, paint=first_nobody)
    ended = omnisila("analyze", video, "--model", run, "--labels", "anomaly", "--out", tmp_path / "report")
    assert ended.exit_code == 0, ended.stderr
    return tmp_path / "report"


def test_it_finds_what_it_was_taught(report: Path) -> None:
    analysis = Analysis.model_validate_json((report / "video.mp4.json").read_text(encoding="utf-8"))
    assert analysis.labels == ("anomaly",)
    assert set(analysis.labels_not_scored) == set(ANOMALY.labels) - set(TAUGHT)
    assert not any("calibrated" in warning for warning in analysis.warnings)
    assert [set(point.posterior["anomaly"]) for point in analysis.anomaly_curve] == [set(TAUGHT)] * 8
    assert all(point.score < 0.4 for point in analysis.anomaly_curve[:3])
    assert all(point.score > 0.5 for point in analysis.anomaly_curve[5:])
    (finding,) = analysis.findings
    assert (finding.label, finding.labels) == ("Fighting", "anomaly")
    assert finding.span.start_s == pytest.approx(4.0, abs=1.0)
    assert finding.span.end_s == pytest.approx(8.0, abs=0.1)
    assert finding.evidence.people
    assert finding.cause is None  # one person who hardly moves is no reason to see a fight
    assert finding.expert_weights is not None
    for one in (finding.expert_weights, *(point.weights for point in analysis.expert_weights)):
        assert one["face"] == one["background"] == 0.0
        assert one["action"] + one["relation"] == pytest.approx(1.0, abs=0.01)


def test_its_page_says_nothing_of_another_model(report: Path) -> None:
    page = (report / "video.mp4.html").read_text(encoding="utf-8")
    for said in ("Fighting", "Anomalies (anomaly)", "Expert weights", "not scored", "two experts", "hold only for"):
        assert said in page, said
    for other in ("ICM", "four experts", "Omni-SILA", "absent<"):
        assert other not in page, other


def test_the_embedded_one_is_listed_with_its_labels_and_card(omnisila: Callable[..., Result]) -> None:
    listed = omnisila("models")
    assert listed.exit_code == 0, listed.output
    assert tuple(line.split()[0] for line in listed.stdout.splitlines()) == weights.RUNS
    assert "anomaly: Fighting, Shoplifting, Accident, Normal" in listed.stdout
    assert omnisila("models", "compact-hawkeye").stdout.startswith("# Model card: compact-hawkeye")
