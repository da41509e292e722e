"""Every Video-LLM of the papers' tables, from its authors' files: analysed, tuned, refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from omnisila.errors import WeightsError
from omnisila.models.baselines.table import BASELINES
from omnisila.models.checkpoint import load_run
from omnisila.models.lora import stored_adapters
from omnisila.recipes.rows.baseline import RECIPES
from omnisila.records import append, records
from omnisila.schema import Analysis, Example, Prediction
from tests.published_baselines import WRITERS
from tests.video_llava import video_llava

NAMES = [*BASELINES, "video_llava"]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A tiny checkpoint of each, as published."""
    root = tmp_path_factory.mktemp("published")

    def folder(name: str) -> Path:
        if not (root / name).exists():
            (root / name).mkdir()
            if name in WRITERS:
                WRITERS[name](root / name)
            else:
                for part in video_llava(max_position_embeddings=1024):
                    part.save_pretrained(root / name)
        return root / name

    return folder


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, write_clip: Callable[..., Path]) -> Path:
    """A folder with a drawn clip of two seconds."""
    folder = tmp_path_factory.mktemp("footage")
    write_clip(folder / "clip.mp4", frames=24, rate_hz=12)
    return folder


@pytest.fixture(scope="module")
def examples(footage: Path) -> Path:
    """A question about each second."""
    asked = [
        Example(
            id=f"clip#{k}", video="clip.mp4", start_s=k, end_s=k + 1, task="identify", labels="implicit",
            instruction="Which event does this video show?", answer=("Fire", "Normal")[k], split=("train", "test")[k],
            group=f"g{k}",
        )
        for k in range(2)
    ]  # fmt: skip
    append(footage / "examples.jsonl", asked)
    return footage / "examples.jsonl"


@pytest.mark.parametrize("name", NAMES)
def test_each_analyses_a_clip(
    omnisila: Callable[..., Result], published: Callable[[str], Path], footage: Path, tmp_path: Path, name: str
) -> None:
    result = omnisila(
        "analyze",
        footage / "clip.mp4",
        "--model",
        published(name),
        "--labels",
        "implicit",
        "--out",
        tmp_path / "report",
    )
    assert result.exit_code == 0, result.output
    (path,) = (tmp_path / "report").glob("*.json")
    analysis = Analysis.model_validate_json(path.read_text())
    assert len(analysis.anomaly_curve) >= 2
    assert analysis.anomaly_curve[0].posterior["implicit"].keys() >= {"Fighting", "Normal"}
    assert any("non-commercial" in said for said in analysis.warnings) == (name == "pandagpt")
    if name in BASELINES:
        assert analysis.model.name == BASELINES[name].title


@pytest.mark.parametrize("name", NAMES)
def test_each_is_tuned_and_its_run_is_a_model(
    omnisila: Callable[..., Result], published: Callable[[str], Path], footage: Path, examples: Path, tmp_path: Path,
    name: str,
) -> None:  # fmt: skip
    row = name.replace("_", "-")
    changes = {
        "row": row,
        "backbone": {"precision": "float32"},
        "task_tuning": {"batch_size": 2, "part_size": 1, "epochs": 1, "workers": 0},
        "loop": {"bfloat16": False, "save_every": 1, "optim": {"learning_rate": 0.05}},
    }
    (tmp_path / "tiny.json").write_text(json.dumps(changes))
    run = tmp_path / "run"
    given = ["train", "baseline", tmp_path / "tiny.json", examples, "--footage", footage, "--out", run]
    result = omnisila(*given, "--checkpoint", published(name))
    assert result.exit_code == 0, result.output
    loaded = load_run(run)
    adapters = stored_adapters(loaded.pretrained.model)
    recipe = RECIPES[row]
    assert recipe.backbone.lora is not None
    adapted = {key.split(".")[-3] for key in adapters}
    assert adapted == set(recipe.backbone.lora.projections)  # as its authors adapt it
    assert any(bool(tensor.any()) for key, tensor in adapters.items() if "lora_B" in key)
    assert loaded.record.labels == {"implicit": ("Fire",)}
    assert loaded.record.window.frames == recipe.window.frames
    result = omnisila("predict", examples, "--footage", footage, "--model", run, "--out", tmp_path / "said.jsonl")
    assert result.exit_code == 0, result.output
    assert all(said.posterior == {"Fire": 1.0} for said in records(tmp_path / "said.jsonl", Prediction))


def test_a_checkpoint_of_another_baseline_is_refused(
    omnisila: Callable[..., Result], published: Callable[[str], Path], footage: Path, examples: Path, tmp_path: Path
) -> None:
    given = ["train", "baseline", "valley", examples, "--footage", footage, "--out", tmp_path / "run"]
    result = omnisila(*given, "--checkpoint", published("chat_univi"))
    assert isinstance(result.exception, WeightsError)
    assert "files of chat_univi, wanted those of valley" in str(result.exception)
    result = omnisila(*given)
    assert result.exit_code == 2
    assert "--checkpoint" in result.output
