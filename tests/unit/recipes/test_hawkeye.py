"""Hawkeye's recipes: what each builds, how a run of the compact one answers, and how it stands beside others."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.compact_beside import against, rivals_in
from omnisila.errors import InputError, TrainingError
from omnisila.inference.load import load
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import ANOMALY
from omnisila.models.asg import NoActionGraph
from omnisila.models.bh_moe import NoConstraint, NoMixture
from omnisila.models.checkpoint import save_run
from omnisila.models.clip_graph import CLASSES, PREDICATES
from omnisila.models.hawkeye import Hawkeye
from omnisila.models.hawkeye_release import HawkeyeRelease
from omnisila.models.org import NoRelationGraph
from omnisila.models.pretrained_llm import from_pretrained
from omnisila.models.tokenizer import train_tokenizer
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.recipes.rows import hawkeye, icm
from omnisila.recipes.studies.folds import Workbench
from omnisila.recipes.studies.measures import Judged, questions_on
from omnisila.scenes.cache import FeatureCache
from omnisila.scenes.extractor import Layout
from omnisila.scenes.full import action as full_action
from omnisila.scenes.sem import embedded_layouts

RELTR = Layout({"predicate": PREDICATES, "subject": CLASSES, "object": CLASSES, "subject_box": 4, "object_box": 4})
PUBLISHED = {**embedded_layouts(), "action": full_action.LAYOUT, "relation": RELTR}
MISSING = {
    "without-asg": ("asg", NoActionGraph), "without-org": ("org", NoRelationGraph),
    "without-moe": ("moe", NoMixture), "without-l-bc": ("constraint", NoConstraint),
}  # fmt: skip


@pytest.fixture
def backbone(video_llava_folder: Path) -> TransformersVideoLLM:
    return from_pretrained(video_llava_folder, torch.float32)


@pytest.mark.parametrize("row", MISSING)
def test_a_row_of_table_1_lacks_its_part(row: str, backbone: TransformersVideoLLM):
    recipe = hawkeye.full_recipe(row).replace(width=16, num_heads=2)
    model = recipe.scene_side(PUBLISHED, backbone).build(backbone)
    assert isinstance(model, Hawkeye)
    for name, (part, nothing) in MISSING.items():
        lacks = name == row or (name, row) == ("without-l-bc", "without-moe")  # nothing is routed, nothing to balance
        assert isinstance(getattr(model, part), nothing) is lacks


def test_the_paper_reads_the_towers_patches_and_tags_where_there_are_any(backbone: TransformersVideoLLM):
    recipe = hawkeye.FullHawkeye().replace(width=16, num_heads=2)
    config = recipe.scene_side(PUBLISHED, backbone)
    assert config.joints.numbers == 5
    assert recipe.scene_side(embedded_layouts(), backbone).joints.numbers == 3
    assert (config.grid.rows, config.grid.columns, config.grid.class_tokens) == (2, 2, 1)
    assert config.grid.area is None, "each window says what of its video the tower sees"


def test_the_published_numbers():
    recipe = hawkeye.FullHawkeye()
    assert recipe.loop.optim.learning_rate == 2e-5
    for stage in (recipe.scene_tuning, recipe.task_tuning):
        assert stage is not None
        assert (stage.batch_size, stage.epochs) == (8, 1)
    assert hawkeye.full_recipe("without-pre-tuning").scene_tuning is None
    assert recipe.moe is not None
    assert recipe.moe.num_layers == 8


def test_the_release_reads_what_its_authors_extracted(backbone: TransformersVideoLLM):
    recipe = hawkeye.ReleasedHawkeye()
    recipe = recipe.replace(release=recipe.release.replace(width=16, num_heads=2, feedforward=16))
    model = recipe.scene_side(PUBLISHED, backbone).build(backbone)
    assert isinstance(model, HawkeyeRelease)
    assert model.joints.numbers == 5
    with pytest.raises(TrainingError, match="RelTR's probabilities of Visual Genome"):
        recipe.scene_side(embedded_layouts(), backbone)


def test_a_compact_run_answers_for_the_anomaly_labels(make_video: Callable[..., Path], tmp_path: Path):
    torch.manual_seed(0)
    recipe = hawkeye.CompactHawkeye(votes=None)
    recipe = recipe.replace(width=16, num_heads=2, video_llm=recipe.video_llm.replace(width=24, num_heads=2))
    texts = [*ANOMALY.labels, ANOMALY.identify]
    model = recipe.scene_side.build(recipe.video_llm.build(train_tokenizer(texts, 300)))
    save_run(tmp_path / "run", model, recipe.record({}))
    analyzer = load(str(tmp_path / "run"), AnalyzerConfig(labels=("anomaly",)), FeatureCache(tmp_path / "cache"))
    analysis = analyzer.analyze(make_video(frames=24, rate_hz=12))
    assert [set(point.posterior["anomaly"]) for point in analysis.anomaly_curve] == [set(recipe.labels["anomaly"])] * 2
    assert set(analysis.labels_not_scored) == set(ANOMALY.labels) - set(recipe.labels["anomaly"])
    assert all(point.weights["face"] == point.weights["background"] == 0.0 for point in analysis.expert_weights)


def test_both_compact_models_are_asked_the_same_questions():
    asked = {q.set_name for q in questions_on(icm.CompactICM())}
    mine = {q.set_name for q in questions_on(hawkeye.CompactHawkeye())}
    assert asked - mine == {"fire_smoke", "emotion_faces"}
    names = {recipe.name for recipe in hawkeye.compact_ablations()}
    assert len(names) == len(hawkeye.compact_ablations()) >= 5


def judged(score: list[float]) -> Judged:
    truth = np.array([0, 0, 0, 1, 1, 1])
    values = np.array(score, dtype=np.float64)
    return Judged(truth, (values > 0).astype(int), values, np.arange(6))


def test_a_difference_is_ours_less_theirs():
    right, wrong = judged([-1, -2, -1, 1, 2, 1]), judged([-1, 2, -1, 1, -2, 1])
    found = against([right], [wrong])
    assert found.ours.tolist() == [1.0, 1.0]
    assert found.differences[0].interval.value == pytest.approx(2 / 6)
    assert found.differences[0].interval.low >= 0.0


def test_a_run_of_other_clips_is_no_rival(tmp_path: Path):
    nowhere: Any = tmp_path / "state/abc/bank.safetensors"
    bench = Workbench(nowhere, nowhere, None, (), (), tmp_path)
    with pytest.raises(InputError, match="not measured on these clips"):
        rivals_in(tmp_path / "other", bench, [icm.CompactICM()])
    (tmp_path / "other/state/abc").mkdir(parents=True)
    recipes = [icm.CompactICM(), icm.compact_ablations()[0]]
    titles = [rival.title for rival in rivals_in(tmp_path / "other", bench, recipes)]
    assert titles == ["compact", "compact ICM without SBM"]
