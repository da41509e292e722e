"""Analyses as predictions: findings answer locate examples, the curve answers windows and whole videos."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from omnisila.errors import RecordError
from omnisila.predictions.read import read_predictions
from omnisila.report.exports.json import export
from omnisila.schema import Analysis, CurvePoint, Example, Finding, ModelIdentity, Prediction, Span, Truth


def example(video: str, task: Any, start_s: float = 0.0, end_s: float = 4.0, **more: Any) -> Example:
    values: dict[str, Any] = {
        "labels": "implicit",
        "instruction": "?",
        "answer": "?",
        "split": "test",
        "group": video,
    } | more
    name = f"{video}#{task}#{start_s:g}#{values['labels']}"
    return Example(id=name, video=video, start_s=start_s, end_s=end_s, task=task, **values)


def curve(*fights: float) -> tuple[CurvePoint, ...]:
    """Windows of a second with that probability of Fighting."""
    return tuple(
        CurvePoint(
            start_s=k, end_s=k + 1, score=p, posterior={"implicit": {"Fighting": p, "Fire": 0.0, "Normal": 1 - p}}
        )
        for k, p in enumerate(fights)
    )


@pytest.fixture
def written(
    tmp_path: Path, make_analysis: Callable[..., Analysis], make_finding: Callable[..., Finding]
) -> Callable[..., Path]:
    """``written("a/v.mp4.json", path=...)`` writes an analysis of 4 s as ``analyze`` does."""

    def write(name: str, **more: Any) -> Path:
        found = (make_finding(1, 3), make_finding(0, 1, "negative"))
        values: dict[str, Any] = {"anomaly_curve": curve(0.1, 0.8, 0.6, 0.1), "duration_s": 4.0} | more
        path = tmp_path / "out" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(export(make_analysis(*found, **values)), encoding="utf-8")
        return path

    return write


def test_findings_and_curve_answer_what_was_asked(written: Callable[..., Path]):
    path = written("v.mp4.json", path="/footage/day/v.mp4")
    asked = (
        example("day/v.mp4", "locate"),
        example("day/v.mp4", "locate", labels="explicit"),
        example("day/v.mp4", "identify", 1, 2),
        example("day/v.mp4", "identify", 2.5, 3.5),
        example("day/v.mp4", "identify"),
        example("day/v.mp4", "identify", labels="anomaly"),
        example("day/v.mp4", "attribute"),
        example("other/v.mp4", "locate"),
    )
    found = read_predictions(path, asked)
    said: dict[str, Prediction] = {one.example_id: one for one in found.predictions}
    assert set(said) == {one.id for one in asked[:5]}, "nothing is said of what the curve does not know"
    assert found.name == "compact@cdcdcdcdcdcd"
    assert said[asked[0].id].answer == "Fighting from 1s to 3s"
    assert [one.label for one in said[asked[1].id].findings] == ["negative"]
    assert said[asked[0].id].seconds == 4.5, "features in full, 1 s for two; no part of a stage twice"
    assert (said[asked[2].id].answer, said[asked[2].id].anomaly) == ("Fighting", pytest.approx(0.8))
    between = said[asked[3].id]
    assert (between.answer, between.findings, between.anomaly) == ("Normal", (), pytest.approx(0.35))
    whole = said[asked[4].id].posterior or {}
    assert math.isclose(whole["Fighting"], 0.4)
    assert read_predictions(path, asked, "mine").predictions[0].system == "mine"


def test_side_by_side_draws_the_curve_of_an_analysis(written: Callable[..., Path]):
    """Hawkeye Figure 5, of two models' ``analyze`` runs."""
    pytest.importorskip("matplotlib")
    from omnisila.report.figures.qualitative import side_by_side, side_by_side_figure

    happened = (Truth(span=Span(start_s=1, end_s=3), label="Fighting"),)
    whole = example("v.mp4", "locate", truth=happened)
    asked = (whole, *(example("v.mp4", "identify", k, k + 1.0) for k in range(4)))
    systems = {
        name: read_predictions(written(f"{name}/v.mp4.json", path="v.mp4", anomaly_curve=curve(*scores)), asked, name)
        for name, scores in (("Hawkeye", (0.1, 0.9, 0.8, 0.1)), ("other", (0.5, 0.5, 0.5, 0.5)))
    }
    shown = side_by_side(whole, asked, {name: found.predictions for name, found in systems.items()})
    assert [lane.system for lane in shown.lanes] == ["Hawkeye", "other"]
    assert [score for _, _, score in shown.lanes[0].windows] == pytest.approx([0.1, 0.9, 0.8, 0.1])
    figure = side_by_side_figure(shown)
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [["Hawkeye"], ["other"]], "and no gap"


def test_a_folder_of_analyses_is_one_system(written: Callable[..., Path]):
    folder = written("v.mp4.json", path="v.mp4").parent
    written("w.mp4.json", path="w.mp4")
    (folder / "v.mp4.activitynet.json").write_text('{"version": "VERSION 1.3", "results": {}}')
    found = read_predictions(folder, (example("v.mp4", "locate"), example("x.mp4", "locate")))
    assert [one.example_id for one in found.predictions] == ["v.mp4#locate#0#implicit"]
    assert found.strangers == ("w.mp4",)
    found = read_predictions(folder, (example("v.mp4", "locate"),), others=(example("w.mp4", "locate"),))
    assert found.strangers == (), "a video of another split is passed over"


def test_what_cannot_be_one_systems_analyses_is_named(written: Callable[..., Path], tmp_path: Path):
    asked = (example("v.mp4", "locate"),)
    first = written("v.mp4.json", path="v.mp4")
    again = written("again/v.mp4.json", path="v.mp4")
    with pytest.raises(RecordError, match=r"v\.mp4\.json: an analysis of v\.mp4, as .* is\. Keep one of them\."):
        read_predictions(first.parent, asked)
    again.unlink()
    other = ModelIdentity(name="other", version="1", digest="ab" * 32)
    written("w.mp4.json", path="w.mp4", model=other)
    with pytest.raises(RecordError, match="analyses of compact@cdcdcdcdcdcd, other@abababababab, wanted one model's"):
        read_predictions(first.parent, asked)
    first.write_text(first.read_text().replace('"decoded_ratio":1.0', '"decoded_ratio":7'))
    with pytest.raises(RecordError, match=r"v\.mp4\.json: video\.decoded_ratio"):
        read_predictions(first, asked)
    (tmp_path / "empty").mkdir()
    with pytest.raises(RecordError, match="no analysis and no file of spans"):
        read_predictions(tmp_path / "empty", asked)
