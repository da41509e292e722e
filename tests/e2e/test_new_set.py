"""A new data set is one file: it is listed, prepared and trained on; what is not trained on is told with a reason."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from PIL import Image

from omnisila.data import sets
from omnisila.data.sets import DataSet, set_names
from omnisila.models.experts import ExpertConfig
from omnisila.models.iec import IECConfig
from omnisila.recipes.rows.compact import restrict_to_taught, tune_scenes, tune_task
from omnisila.recipes.rows.icm import CompactICM
from omnisila.recipes.shipping.compact import prepare_features
from omnisila.recipes.studies.measures import questions_on
from omnisila.training.loop import LoopConfig

PHOTOGRAPH = Image.open(Path(__file__).parents[1] / "fixtures" / "astronaut.jpg").convert("RGB")
MODULE = '''"""Stills of a mill, burning and not.

Address: none, they are drawn
Licence: CC0
A record (file, label, group): a.jpg, Burning, day1
"""

from omnisila.data.sets import Teaching
from omnisila.data.sets._footage import whole_files

WORDS = {"Burning": "Fire", "Flooded": "Water Incidents", "Calm": "Normal"}
SET = whole_files(WORDS, ("group",), is_still=True, trains={"implicit": Teaching(3.0, WORDS)})
'''


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root with the new set, one that trains nothing and one that nobody reads."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package/mill_fires.py").write_text(MODULE, encoding="utf-8")
    untrained = MODULE.replace('trains={"implicit": Teaching(3.0, WORDS)}', 'untrained="the mill is closed"')
    (tmp_path / "package/old_mill.py").write_text(untrained, encoding="utf-8")
    monkeypatch.setattr(sets, "__path__", [*sets.__path__, str(tmp_path / "package")])
    for name, words in (("mill_fires", ("Burning", "Calm", "Flooded")), ("old_mill", ("Calm",)), ("stranger", ("x",))):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        lines = [("file", "label", "group", "licence")]
        for number in range(10):
            word = words[number % len(words)]
            picture = PHOTOGRAPH.resize((160 + number, 160))
            (picture if word == "Burning" else picture.rotate(180)).save(folder / f"{number}.jpg")
            lines.append((f"{number}.jpg", word, f"day{number}", "CC0"))
        with (folder / "manifest.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows(lines)
    return tmp_path / "data"


def tiny() -> CompactICM:
    recipe, loop = CompactICM(), LoopConfig(steps=3)
    assert recipe.scene_tuning is not None
    assert recipe.head_tuning is not None
    return recipe.replace(
        left_out=("relation",),
        expert=ExpertConfig(width=16, num_layers=1, num_heads=2),
        iec=IECConfig(centres=2),
        video_llm=recipe.video_llm.replace(width=24, num_layers=1, num_heads=2, feedforward=32),
        scene_tuning=recipe.scene_tuning.replace(loop=loop, batch_size=4),
        head_tuning=recipe.head_tuning.replace(loop=loop, batch_size=4),
        task_tuning=recipe.task_tuning.replace(loop=loop, batch_size=4),
    )


def test_it_trains_and_what_does_not_is_told(root: Path, tmp_path: Path) -> None:
    recipe = tiny()
    assert recipe.set_weights["implicit"]["mill_fires"] == 3.0
    recipe = restrict_to_taught(recipe, sets.read_footage(root, ["mill_fires"]).videos)
    assert recipe.labels == {"implicit": ("Fire", "Normal")}
    assert [(question.set_name, question.label) for question in questions_on(recipe)] == [("mill_fires", "Fire")]
    told: list[str] = []
    material = prepare_features(root, tmp_path / "run", tmp_path / "features", 0, 1, recipe, told.append).material
    assert "old_mill: not trained: the mill is closed" in told
    assert "stranger: not trained: no file of data/sets reads it" in told
    assert any(line.startswith("mill_fires: Water Incidents: 3 clips are not asked about") for line in told)
    model = tune_scenes(recipe, material)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = tune_task(recipe, material, model, range(len(material.clips))).state_dict()
    assert any(not before[name].equal(after[name]) for name in before)


def test_it_prepares(root: Path, tmp_path: Path, omnisila: Callable[..., Result]) -> None:
    ended = omnisila("prepare", "mill_fires", root / "mill_fires", "--out", tmp_path / "prepared")
    assert ended.exit_code == 0, ended.output
    lines = (tmp_path / "prepared/examples.jsonl").read_text(encoding="utf-8").splitlines()
    answers = {line["video"]: line["answer"] for line in map(json.loads, lines) if line["task"] == "identify"}
    assert answers["mill_fires/0.jpg"] == "Fire"
    assert answers["mill_fires/1.jpg"] == "Normal"


def test_a_set_says_what_it_trains_or_why_not() -> None:
    for name in set_names():
        assert sets.data_set(name).trains or sets.data_set(name).untrained
    with pytest.raises(ValueError, match="either what it trains, with which weight, or why"):
        DataSet(sets.data_set("falls").read)
