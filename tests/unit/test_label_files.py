"""Label sets as files: what a file may say, what it leaves out, and who takes it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from omnisila.data.instructions import Instruction, parse_instruction, render_question
from omnisila.errors import LabelError
from omnisila.inference.load import load
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import LABEL_SETS, known_sets, label_set
from omnisila.report.exports import exporter
from omnisila.scenes.cache import FeatureCache

KITCHEN = """
name: kitchen
quiet: Cooking
labels:
  Spill: something is poured beside its vessel
  Burn: smoke rises from a pan
  Cooking:
"""


@pytest.fixture(autouse=True)
def _known_again() -> Iterator[None]:
    before = dict(LABEL_SETS)
    yield
    LABEL_SETS.clear()
    LABEL_SETS.update(before)


def test_a_file_says_little_and_the_rest_is_usual(tmp_path: Path):
    path = tmp_path / "kitchen.yaml"
    path.write_text(KITCHEN)
    assert known_sets([str(path), "implicit"]) == ("kitchen", "implicit")
    known = label_set("kitchen")
    assert known.labels == ("Spill", "Burn", "Cooking")
    assert (known.negative, known.quiet) == (("Spill", "Burn"), "Cooking")
    asked = render_question("identify", known.identify, "kitchen")
    assert "Burn (smoke rises from a pan), Cooking." in asked
    assert parse_instruction(known.attribute.format(label="Spill")) == Instruction("attribute", known, "Spill")
    path.write_text(json.dumps({"name": "kitchen", "labels": ["a", "b"], "identify": "What?"}))
    known_sets([str(path)])
    assert (label_set("kitchen").identify, label_set("kitchen").quiet) == ("What?", None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name: [", "no label set can be read"),
        ("- a", "list at its top"),
        ("labels: [a]", "name"),
        ("name: x\nlabels: [a, a]", "stands twice"),
        ("name: x\nlabels: [a]\nquiet: b", "not among its labels"),
        ("name: x\nlabels: [a]\nmood: b", "mood"),
        ("name: implicit\nlabels: [a]", "built in"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(tmp_path: Path, text: str, reason: str):
    path = tmp_path / "x.yml"
    path.write_text(text)
    with pytest.raises(LabelError, match=reason) as told:
        known_sets([str(path)])
    assert "\n" not in str(told.value)
    assert str(path) in str(told.value)
    with pytest.raises(LabelError, match="no label set can be read"):
        known_sets([str(tmp_path / "nowhere.yaml")])


def test_a_plain_video_llm_takes_it_and_a_trained_model_does_not(
    video_llava_folder: Path, make_video: Callable[..., Path], tmp_path: Path
):
    (tmp_path / "kitchen.yaml").write_text(KITCHEN)
    settings = AnalyzerConfig(labels=known_sets([str(tmp_path / "kitchen.yaml")]))
    with pytest.raises(LabelError, match=r"'kitchen': model compact was trained on.*a plain Video-LLM takes any"):
        load("compact", settings)
    cache = FeatureCache(tmp_path / "cache")
    plain = load(str(video_llava_folder), settings, cache)
    found = plain.analyze(make_video("a.mp4", frames=24, rate_hz=12))
    assert found.labels == ("kitchen",)
    assert set(found.anomaly_curve[0].posterior["kitchen"]) == {"Spill", "Burn", "Cooking"}
    assert {one.label for one in found.findings} <= {"Spill", "Burn"}
    for name in ("elan", "label_studio", "csv", "vtt"):
        assert exporter(name)[1](found)
    (tmp_path / "kitchen.yaml").write_text(KITCHEN.replace("smoke rises", "flames rise"))
    known_sets([str(tmp_path / "kitchen.yaml")])
    assert load(str(video_llava_folder), settings, cache).identity.digest != plain.identity.digest
