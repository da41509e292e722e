"""Figures: what they draw is what their inputs say, and every axis says its unit."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib")

from matplotlib.figure import Figure

from omnisila.labels import REACTION
from omnisila.report.figures.gallery import inference_time_bars, per_label_lines
from omnisila.report.figures.intensities import confusion, count_bins, densities, density, intensities_of
from omnisila.report.figures.losses import loss_curves, trailing_mean
from omnisila.report.figures.qualitative import side_by_side, side_by_side_figure, telling_video
from omnisila.report.figures.style import COLOURS, line_of, look, write_figure
from omnisila.report.score_tables import PerLabel
from omnisila.schema import Example, Finding, Prediction, Score, Scores, Span, Truth


def score(metric: str, variant: str, value: float | None) -> Score:
    return Score(metric=metric, variant=variant, value=value, count=1)


def example(name: str, task: str, start_s: float, end_s: float, **rest: object) -> Example:
    base = {"video": "v.mp4", "labels": "anomaly", "instruction": "?", "answer": "", "split": "test", "group": "g"}
    return Example.model_validate({**base, "id": name, "task": task, "start_s": start_s, "end_s": end_s, **rest})


def found(start_s: float, end_s: float) -> Finding:
    return Finding(span=Span(start_s=start_s, end_s=end_s), label="Arson", labels="anomaly", score=0.5, cause=None)


def units_said(figure: Figure) -> None:
    for axes in figure.axes:
        assert axes.get_ylabel() or axes.get_xlabel()


def test_looks_are_all_different() -> None:
    assert len({line_of(index) for index in range(28)}) == 28
    assert len(set(COLOURS)) == len(COLOURS)


def test_per_label_lines_are_percent_with_gaps() -> None:
    first = score("FNR", "anomaly; Abuse; frames", 0.25)
    figure = per_label_lines(PerLabel("anomaly", "FNR", "frames", ("Abuse", "Arson"), (("a", (first, None)),)))
    (axes,) = figure.axes
    np.testing.assert_array_equal(np.asarray(axes.lines[0].get_ydata()), [25.0, np.nan])
    assert axes.get_ylabel() == "FNR (% of positive frames)"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["Abuse", "Arson"]


def test_the_names_of_many_systems_stand_within_the_figure() -> None:
    names = [f"/a/folder/of/models/that-are-many/model-{index}@0123456789{index:02}" for index in range(16)]
    first = score("FNR", "anomaly; Abuse; frames", 0.25)
    with look():
        lines = tuple((name, (first, first)) for name in names)
        figure = per_label_lines(PerLabel("anomaly", "FNR", "frames", ("Abuse", "Arson"), lines))
        figure.savefig(BytesIO())
        (legend,) = figure.legends
        extent, (axes,) = legend.get_window_extent(), figure.axes
        assert [text.get_text() for text in legend.get_texts()] == [f"model-{index}" for index in range(16)]
        assert extent.x0 >= 0
        assert extent.x1 <= figure.bbox.width
        assert extent.y1 <= figure.bbox.height
        assert axes.get_window_extent().y1 <= extent.y0
        assert axes.get_window_extent().height / figure.dpi > 1.5


def test_trailing_mean_looks_back_only() -> None:
    np.testing.assert_allclose(trailing_mean([4.0, 2.0, 0.0, 2.0], 2), [4.0, 3.0, 1.0, 1.0])


def test_loss_curves_have_a_panel_for_each_stage(tmp_path: Path) -> None:
    lines = [
        f'{{"stage": "{stage}", "step": {step}, "loss": {3 - step}.0, "gradient_norm": 1.0}}'
        for stage in ("scene", "sila")
        for step in range(3)
    ]
    (tmp_path / "losses.jsonl").write_text("\n".join(lines))
    figure = loss_curves([tmp_path / "losses.jsonl"])
    assert figure is not None
    assert len(figure.axes) == 2
    np.testing.assert_array_equal(np.asarray(figure.axes[0].lines[0].get_ydata()), [3.0, 2.0, 1.0])
    units_said(figure)


def test_runs_stand_in_one_panel_a_stage(tmp_path: Path) -> None:
    logs: list[Path] = []
    for run, stages in (("full", ("scene", "task")), ("without-pre-tuning", ("task",)), ("again/full", ("task",))):
        logs.append(tmp_path / run / "losses.jsonl")
        logs[-1].parent.mkdir(parents=True)
        lines = (f'{{"stage": "{stage}", "step": {k}, "loss": {4 - k}.0, "gradient_norm": 1.0}}'
                 for stage in stages for k in range(2))  # fmt: skip
        logs[-1].write_text("\n".join(lines))
    figure = loss_curves(logs)
    assert figure is not None
    scene, task = figure.axes
    assert (len(scene.lines), len(task.lines)) == (1, 3)
    assert len({line.get_color() for line in task.lines}) == 3
    assert scene.lines[0].get_color() == task.lines[0].get_color(), "a run looks alike in every panel"
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == [str(logs[0]), "without-pre-tuning", str(logs[2])]


def test_bars_are_as_long_as_the_times() -> None:
    times = (score("inference time", "anomaly; seconds per minute of video", 12.0),)
    figure = inference_time_bars([Scores(system="a", scores=times), Scores(system="b", scores=())])
    assert figure is not None
    (axes,) = figure.axes
    assert [bar.get_width() for bar in axes.patches] == [12.0]
    assert "seconds per minute" in axes.get_xlabel()
    assert inference_time_bars([Scores(system="b", scores=())]) is None


def test_intensities_take_whole_parsed_answers_only() -> None:
    truth = dict.fromkeys(REACTION.labels, 0.4)
    asked = [example(name, "react", 0.0, 1.0, labels="reaction", intensities=truth) for name in "xyz"]
    said = [
        Prediction(example_id="x", system="s", answer="", intensities=dict.fromkeys(REACTION.labels, 0.6)),
        Prediction(example_id="y", system="s", answer="?", parse_ok=False),
        Prediction(example_id="z", system="s", answer="", intensities={"Fear": 0.1}),
    ]
    both = intensities_of("s", asked, said)
    assert both.truth.shape == both.predicted.shape == (1, 7)
    assert both.predicted[0, 0] == 0.6
    assert intensities_of("s", asked, []).truth.shape == (0, 7)


def test_bins_hold_their_lower_edges() -> None:
    counts = count_bins(np.array([0.0, 0.3, 0.1 + 0.2, 1.0]), np.array([0.05, 0.29, 0.7, 0.95]))
    assert {(int(row), int(column)) for row, column in np.argwhere(counts)} == {(0, 0), (3, 2), (3, 7), (9, 9)}


def test_density_integrates_to_one_and_constants_have_none() -> None:
    curve = density(np.random.default_rng(0).normal(0.5, 0.05, 200))
    assert curve is not None
    assert np.trapezoid(curve, dx=1 / 200) == pytest.approx(1.0, abs=1e-3)
    assert density(np.full(5, 0.5)) is None


def test_reaction_figures_have_a_panel_for_each_emotion() -> None:
    random = np.random.default_rng(0)
    asked = [
        example(
            f"{index}", "react", 0.0, 1.0, labels="reaction", intensities=dict(zip(REACTION.labels, row, strict=True))
        )
        for index, row in enumerate(random.random((20, 7)))
    ]
    said = [Prediction(example_id=one.id, system="s", answer="", intensities=one.intensities) for one in asked]
    both = intensities_of("s", asked, said)
    for figure, more in ((densities([both]), 0), (confusion(both), 1)):
        assert len(figure.axes) == 7 + more
        units_said(figure)
    share = np.asarray(confusion(both).axes[0].images[0].get_array())
    assert np.nanmax(share - np.diag(np.diag(share))) == 0.0


def test_side_by_side_shows_the_video_that_systems_differ_on() -> None:
    truth = (Truth(span=Span(start_s=2.0, end_s=6.0), label="Arson"),)
    asked = [
        example("same", "locate", 0.0, 10.0, truth=truth, video="same.mp4"),
        example("other", "locate", 0.0, 10.0, truth=truth),
        example("window", "identify", 3.0, 4.0),
    ]
    good = [
        Prediction(example_id="same", system="a", answer="", findings=(found(2.0, 6.0),)),
        Prediction(example_id="other", system="a", answer="", findings=(found(2.0, 6.0),)),
        Prediction(example_id="window", system="a", answer="", anomaly=0.75),
    ]
    poor = [good[0], Prediction(example_id="other", system="b", answer="", findings=(found(7.0, 9.0),))]
    systems = {"a": good, "b": poor}
    chosen = telling_video(asked, systems)
    assert chosen is not None
    assert chosen.id == "other"
    shown = side_by_side(chosen, asked, systems)
    assert [lane.windows for lane in shown.lanes] == [((3.0, 4.0, 0.75),), ()]
    figure = side_by_side_figure(shown)
    assert figure.axes[-1].get_xlabel() == "time in the video (s)"
    assert [text.get_text() for text in figure.axes[1].texts] == ["no window scores", "b"]
    assert telling_video(asked, {"a": good, "b": good[:0]}) is None


def test_files_are_the_same_each_time(tmp_path: Path) -> None:
    def drawn(folder: str) -> list[bytes]:
        with look():
            figure = per_label_lines(PerLabel("anomaly", "FNR", "frames", ("Abuse",), (("a", (None,)),)))
            return [path.read_bytes() for path in write_figure(figure, tmp_path / folder, "one")]

    svg, png = drawn("x")
    assert [svg, png] == drawn("y")
    assert svg.startswith(b"<?xml")
    assert png.startswith(b"\x89PNG")
