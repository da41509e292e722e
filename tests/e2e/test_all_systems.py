"""From nothing to one table: the papers' seven baselines, the modern families, an endpoint and the embedded model."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from omnisila.errors import InputError
from omnisila.labels import IMPLICIT, LABEL_SETS, LabelSet
from omnisila.models.baselines.table import BASELINES
from omnisila.records import append, records
from omnisila.schema import Analysis, Example, Prediction, Span, Truth
from omnisila.systems import short_names
from tests.e2e.test_baselines import NAMES
from tests.e2e.test_zero_shot import checkpoint
from tests.published_baselines import WRITERS
from tests.unit.models.backbones.conftest import FAMILIES
from tests.video_llava import video_llava

LABELS = """
name: kitchen
quiet: Cooking
labels:
  Spill: something is poured beside its vessel
  Cooking:
"""


def examples(folder: Path, labels: LabelSet, true: str) -> Path:
    """What each second of a clip of two seconds shows, and where in it something is."""
    truth = (Truth(span=Span(start_s=0.0, end_s=1.0), label=true),)
    given: dict[str, Any] = {"video": "clip.mp4", "labels": labels.name, "split": "test", "group": "clip"}
    answers = (true, str(labels.quiet))
    made = [
        Example(
            id=f"set/clip#identify-{second}", start_s=second, end_s=second + 1, task="identify", answer=answer,
            instruction=labels.identify, truth=truth[: 1 - second], **given,
        )
        for second, answer in enumerate(answers)
    ]  # fmt: skip
    locate = Example(
        id="set/clip#locate-0", start_s=0.0, end_s=2.0, task="locate", instruction=labels.locate,
        answer=f"{true} from 0s to 1s", truth=truth, **given,
    )  # fmt: skip
    append(folder / "examples.jsonl", [*made, locate])
    return folder / "examples.jsonl"


def weights(question: str, _pictures: Any) -> dict[str, float]:
    """Letters of a server that can be believed; it says what comes first."""
    letter = "B" if "capital letter B" in question else "A"
    return {letter: math.log(0.9), "AB".replace(letter, ""): math.log(0.05)}


@pytest.fixture
def system(tmp_path: Path) -> Callable[[str], Path | str]:
    """A tiny checkpoint of a system, as published."""

    def written(name: str) -> Path | str:
        folder = tmp_path / "models" / name
        if name in FAMILIES:
            return checkpoint(folder, name)
        folder.mkdir(parents=True)
        if name in WRITERS:
            WRITERS[name](folder)
        else:
            for part in video_llava(max_position_embeddings=1024):
                part.save_pretrained(folder)
        return folder

    return written


def test_every_system_fills_its_row(
    omnisila: Callable[..., Result],
    chat_server: Any,
    make_video: Callable[..., Path],
    system: Callable[[str], Path | str],
    tmp_path: Path,
) -> None:
    footage = make_video("footage/clip.mp4", frames=24, rate_hz=12).parent
    asked, server = examples(footage, IMPLICIT, "Fire"), chat_server(weights=weights)
    models: dict[str, list[Any]] = {name: [system(name)] for name in (*NAMES, *FAMILIES)}
    models["asked"] = [f"query:{models['smolvlm'][0]}"]
    models["endpoint"] = ["openai:seer", "--base-url", server.base_url, "--key-variable", "TEST_KEY"]
    models["compact"] = ["compact"]
    names: dict[str, str] = {}
    for name, (model, *more) in models.items():
        out = tmp_path / f"{name}.jsonl"
        result = omnisila("predict", asked, "--footage", footage, "--model", model, "--out", out, *more)
        assert result.exit_code == 0, f"{name}: {result.stderr}"
        assert ("non-commercial" in result.stderr) == (name == "pandagpt")
        said = list(records(out, Prediction))
        assert len(said) == 3
        assert all(each.seconds is not None for each in said)
        names[name] = said[0].system
    predictions = [tmp_path / f"{name}.jsonl" for name in models]
    result = omnisila("score", asked, *predictions, "--out", tmp_path / "scores.json", "--draws", "0")
    assert result.exit_code == 0, result.stderr
    shown = [part for path in predictions for part in ("--predictions", path)]
    out = tmp_path / "report"
    result = omnisila("report", tmp_path / "scores.json", "--examples", asked, *shown, "--out", out)
    assert result.exit_code == 0, result.stderr
    assert len(set(names.values())) == len(models)
    tables = {part.partition("\n")[0]: part for part in (out / "tables.md").read_text().split("## ")}
    (table,) = (part for head, part in tables.items() if head.startswith("Omni-SILA (ICM), Table 1"))
    assert str(tmp_path) not in (out / "tables.md").read_text()
    for name, called in ((name, short_names(names.values())[said]) for name, said in names.items()):
        (row,) = (line for line in table.splitlines() if line.startswith(f"| {called} |"))
        assert any(character.isdigit() for character in row.rpartition(called)[2]), name
    assert all(any(known.title in name for name in names.values()) for known in BASELINES.values())
    for figure in ("inference-time", "side-by-side"):
        assert (out / "figures" / f"{figure}.png").stat().st_size > 10_000


def test_own_labels_go_from_a_file_to_every_output(
    omnisila: Callable[..., Result],
    make_video: Callable[..., Path],
    system: Callable[[str], Path | str],
    tmp_path: Path,
) -> None:
    clip, labels = make_video("clip.mp4", frames=24, rate_hz=12), tmp_path / "kitchen.yaml"
    labels.write_text(LABELS)
    model, out = system("smolvlm"), tmp_path / "out"
    given = ["--labels", labels, "--format", "json,html,elan,label_studio,csv,vtt,activitynet"]
    result = omnisila("analyze", clip, "--model", model, *given, "--out", out)
    assert result.exit_code == 0, result.stderr
    found = Analysis.model_validate(json.loads((out / "clip.mp4.json").read_text()))
    assert found.labels == ("kitchen",)
    assert set(found.anomaly_curve[0].posterior["kitchen"]) == {"Spill", "Cooking"}
    written = {path.name: path.read_text() for path in out.glob("clip.mp4.*")}
    assert len(written) == 7
    assert "kitchen" in written["clip.mp4.html"]
    if found.findings:
        assert all("Spill" in text for text in written.values())
    kitchen = LABEL_SETS["kitchen"]
    asked = examples(tmp_path, kitchen, "Spill")
    known = ["--labels", labels]
    said = tmp_path / "said.jsonl"
    result = omnisila("predict", asked, "--footage", tmp_path, "--model", model, "--out", said, *known)
    assert result.exit_code == 0, result.stderr
    result = omnisila("score", asked, said, "--out", tmp_path / "scores.json", "--draws", "0", *known)
    assert result.exit_code == 0, result.stderr
    drawn = ["--examples", asked, "--predictions", said, "--out", tmp_path / "report"]
    result = omnisila("report", tmp_path / "scores.json", *drawn, *known)
    assert result.exit_code == 0, result.stderr
    assert "kitchen" in (tmp_path / "report" / "tables.md").read_text()
    refused = omnisila("analyze", clip, "--model", "compact", "--labels", labels, "--out", tmp_path / "other")
    assert "a plain Video-LLM takes any" in str(refused.exception)


def test_a_fixed_camera_is_learnt_with_a_plain_model(
    omnisila: Callable[..., Result],
    make_video: Callable[..., Path],
    system: Callable[[str], Path | str],
    tmp_path: Path,
) -> None:
    clip, model = make_video("clip.mp4", frames=48, rate_hz=12), system("smolvlm")
    asked = ["--labels", "implicit", "--model", model]
    result = omnisila("learn-camera", clip, "--out", tmp_path / "gate.camera", *asked)
    assert result.exit_code == 0, result.stderr
    result = omnisila("analyze", clip, "--camera", tmp_path / "gate.camera", "--out", tmp_path / "out", *asked)
    assert result.exit_code == 0, result.stderr
    found = Analysis.model_validate(json.loads((tmp_path / "out" / "clip.mp4.json").read_text()))
    assert found.camera is not None
    other = omnisila("analyze", clip, "--camera", tmp_path / "gate.camera", "--out", tmp_path / "out")
    assert isinstance(other.exception, InputError)  # learnt with another model
