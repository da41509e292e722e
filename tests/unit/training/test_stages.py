"""The stages on tiny models: each teaches what it says, and a killed task tuning resumes to the same weights."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
import torch

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.causes.attribution import Clause
from omnisila.models.bh_moe import BHMoEConfig, ConstraintConfig
from omnisila.models.compact import CompactConfig
from omnisila.models.experts import ExpertConfig
from omnisila.models.icm import ICM
from omnisila.models.iec import IECConfig, ImplicitEnhancedCausal
from omnisila.models.sbm import SBMConfig
from omnisila.models.scene_model import SceneModel
from omnisila.recipes.rows.compact import CompactTraining, Material, build_model, tune_scenes, tune_task
from omnisila.recipes.rows.hawkeye import CompactHawkeye
from omnisila.recipes.rows.icm import CompactICM
from omnisila.scenes.extractor import SceneShard, SceneStream
from omnisila.scenes.sem import embedded_layouts
from omnisila.scenes.windows import WindowConfig
from omnisila.training.bank import build_bank
from omnisila.training.descriptions import CauseTable, load_descriptions, save_descriptions, scene_answer
from omnisila.training.heads import HeadTuningConfig
from omnisila.training.loop import LoopConfig, StepReport
from omnisila.training.optim import OptimConfig
from omnisila.training.perturb import PerturbConfig
from omnisila.training.stages import SceneTuningConfig, TaskTuningConfig

RATES_HZ = {"visual": 4.0, "objects": 2.0, "face": 1.0, "action": 4.0, "relation": 2.0, "background": 1.0}
LOOP = LoopConfig(steps=12, save_every=5, optim=OptimConfig(learning_rate=3e-3, ema_decay=0.5))
RECIPE = CompactICM(
    labels={"implicit": ("Fire", "Normal")},
    set_weights={"implicit": {"s": 1.0}},
    expert=ExpertConfig(width=16, num_layers=1, num_heads=2),
    iec=IECConfig(centres=4),
    video_llm=CompactConfig(width=32, num_layers=1, num_heads=2, feedforward=32),
    projector_dropout=0.0,
    perturb=PerturbConfig(),
    scene_tuning=SceneTuningConfig(loop=LOOP, batch_size=8),
    head_tuning=HeadTuningConfig(loop=LOOP, batch_size=8),
    task_tuning=TaskTuningConfig(loop=LOOP, batch_size=8, causes=2),
)


HAWKEYE = CompactHawkeye(
    labels={"anomaly": ("Arson", "Normal")},
    set_weights={"anomaly": {"s": 1.0}},
    width=16,
    num_heads=2,
    moe=BHMoEConfig(num_layers=1),
    video_llm=RECIPE.video_llm,
    perturb=PerturbConfig(),
    scene_tuning=RECIPE.scene_tuning,
    head_tuning=HeadTuningConfig(loop=LOOP, batch_size=8),
    task_tuning=RECIPE.task_tuning,
)


EVENT = {"implicit": "Fire", "anomaly": "Arson"}
CALM = {"implicit": "Normal", "anomaly": "Normal"}


def shard(hot: bool, seed: int) -> SceneShard:
    random = torch.Generator().manual_seed(seed)
    streams = {}
    for name, layout in embedded_layouts().items():
        entities = {"background": 1, "visual": 2}.get(name, 6)
        shape = int(2 * RATES_HZ[name]), entities, layout.width
        values = torch.randn(shape, generator=random) + (1.0 if hot else -1.0) * (name in ("background", "visual"))
        mask = torch.zeros(shape[:2], dtype=torch.bool)
        mask[:, :3] = True
        streams[name] = SceneStream(0.0, RATES_HZ[name], values.half() * mask[..., None], mask)
    return SceneShard(0.0, 2.0, streams, embedded_layouts())


@pytest.fixture(scope="module")
def material() -> Material:
    hot = [number % 2 == 0 for number in range(8)]
    clips = tuple(
        AnnotatedVideo(id=f"{number}", set_name="s", path=f"{number}.mp4", labels=EVENT if one else CALM,
                       throughout=True, sources=(f"{number}",), is_still=number == 3)
        for number, one in enumerate(hot)
    )  # fmt: skip
    bank = build_bank([(number, 0, shard(one, number)) for number, one in enumerate(hot)], WindowConfig())
    descriptions = tuple(
        (Clause("a dark view", "background", 2), Clause("a bus" if hot[int(clip)] else "a car", "relation", 1))
        for clip in bank.clip
    )
    return Material(clips, bank, descriptions)


def weights(model: SceneModel) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


@pytest.mark.parametrize("recipe", [RECIPE, HAWKEYE], ids=["icm", "hawkeye"])
def test_scene_tuning_learns_the_descriptions(material: Material, recipe: CompactTraining):
    losses: list[float] = []
    tune_scenes(recipe, material, on_step=lambda report: losses.append(report.loss))
    assert losses[-1] < losses[0]


@pytest.mark.parametrize(
    ("recipe", "louder"),
    [(RECIPE, {"sbm": SBMConfig(beta=10.0)}), (HAWKEYE, {"constraint": ConstraintConfig(strength=10.0)})],
    ids=["L_rb", "L_bc"],
)
def test_scene_tuning_balances_the_router(material: Material, recipe: CompactTraining, louder: dict[str, Any]):
    def first_loss(recipe: CompactTraining) -> float:
        losses: list[float] = []
        tune_scenes(recipe, material, on_step=lambda report: losses.append(report.loss))
        return losses[0]

    assert first_loss(recipe.replace(**louder)) > first_loss(recipe) + 0.1


class KilledError(Exception):
    """Stands for the end of the process."""


def resumed(recipe: CompactTraining, material: Material, folder: Path, kill_after: int) -> bool:
    """Whether training that is killed after so many steps ends with the weights of one that is not."""

    def tuned(folder: Path | None, kill_after: int | None = None) -> SceneModel:
        steps: list[StepReport] = []

        def on_step(report: StepReport) -> None:
            steps.append(report)
            if len(steps) == kill_after:
                raise KilledError

        model = build_model(recipe, material)
        with contextlib.suppress(KilledError):
            tune_task(recipe, material, model, range(6), folder, on_step)
        return model

    straight = tuned(None)
    tuned(folder, kill_after)
    return torch.equal(weights(tuned(folder)), weights(straight))


@pytest.mark.parametrize("kill_after", [7, 19])  # steps: while experts or graphs learn alone, and in task tuning
@pytest.mark.parametrize("recipe", [RECIPE, HAWKEYE], ids=["icm", "hawkeye"])
def test_a_killed_training_resumes_to_the_same_weights(
    material: Material, tmp_path: Path, recipe: CompactTraining, kill_after: int
):
    assert resumed(recipe, material, tmp_path, kill_after)


def test_task_tuning_fills_the_dictionary(material: Material):
    model = build_model(RECIPE, material)
    assert isinstance(model, ICM)
    assert isinstance(model.iec, ImplicitEnhancedCausal)
    before = model.iec.dictionary.detach().clone()
    tune_task(RECIPE, material, model, range(6))
    assert not torch.allclose(model.iec.dictionary, before)


def test_head_tuning_reaches_both_graphs_and_the_mixture(material: Material):
    untrained, model = build_model(HAWKEYE, material).state_dict(), build_model(HAWKEYE, material)
    tune_task(HAWKEYE.replace(task_tuning=TaskTuningConfig(loop=LOOP.replace(steps=0))), material, model, range(8))
    moved = {name.split(".")[0] for name, value in model.state_dict().items() if not value.equal(untrained[name])}
    assert moved == {"video", "asg", "org", "moe"}


def test_an_ablation_trains_with_its_part_left_out(material: Material):
    for ablation in (
        RECIPE.replace(sbm=None),
        RECIPE.replace(iec=None),
        RECIPE.replace(left_out=("face", "action")),
        *(HAWKEYE.replace(**{part: None}) for part in ("asg", "org", "moe", "constraint", "scene_tuning")),
    ):
        model = build_model(ablation, material)
        tune_task(ablation, material, model, range(8))
        assert weights(model).isfinite().all()


def test_descriptions_and_causes(material: Material, tmp_path: Path):
    save_descriptions(tmp_path / "d.jsonl", material.descriptions)
    assert load_descriptions(tmp_path / "d.jsonl") == material.descriptions
    assert load_descriptions(tmp_path / "gone.jsonl") is None
    assert scene_answer(material.descriptions[0], "background") == ("a dark view",)
    assert scene_answer(material.descriptions[0], "face") == ()
    labels = ["Fire" if clause[1].text == "a bus" else "Normal" for clause in material.descriptions]
    table = CauseTable(material.descriptions, labels)
    assert table.cause(material.descriptions[0], "Fire") == ("a bus",)
    assert table.surprise("a dark view", "Fire") == pytest.approx(0.0)
    assert table.cause(material.descriptions[0], "Normal") == ("a dark view",)
