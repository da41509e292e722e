"""prepare -> score -> report on annotations of published forms, with predictions of known quality."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result

from omnisila.evaluation.score_files import read_scores
from omnisila.labels import label_set
from omnisila.records import append, records
from omnisila.schema import Example, Finding, Prediction, Span

LATE_FRAC = 0.5
TSL300 = {  # video -> length, segments, as videosenti_gt.json and len_duration_dict.json have them
    "1_CMU_MOSEI_a": (21.4, [("2.5", "6.5", "p"), ("9.25", "12.0", "n")]),
    "2_CMU_MOSEI_b": (12.0, [("0.0", "3.75", "n"), ("5.0", "5.5", "n")]),
    "3_Ekman6_c": (9.0, [("1.0", "4.0", "p")]),
    "4_Ekman6_d": (7.3, []),
}
UCF_CRIME = """\
Abuse028_x264  Abuse  165  240  -1  -1
Vandalism017_x264  Vandalism  270  330  780  840
RoadAccidents001_x264  RoadAccidents  15  300  -1  -1
Normal_Videos_003_x264  Normal  -1  -1  -1  -1
Normal_Videos_006_x264  Normal  -1  -1  -1  -1
"""
LENGTHS = """\
video,duration_s
Abuse028_x264.mp4,47.0
Vandalism017_x264.mp4,40.5
RoadAccidents001_x264.mp4,20.0
Normal_Videos_003_x264.mp4,11.2
Normal_Videos_006_x264.mp4,8.0
"""


def written(folder: Path) -> Path:
    """Small annotations of the published forms, and the lengths of UCF-Crime's videos."""
    for name in ("tsl300", "ucf_crime"):
        (folder / name).mkdir(parents=True)
    database = {
        name: {
            "subset": "test",
            "annotations": [{"segment": [start, end], "label": label} for start, end, label in said],
        }
        for name, (_, said) in TSL300.items()
    }
    lengths_s = {name: length_s for name, (length_s, _) in TSL300.items()}
    (folder / "tsl300/videosenti_gt.json").write_text(json.dumps({"database": database}))
    (folder / "tsl300/len_duration_dict.json").write_text(json.dumps(lengths_s))
    (folder / "ucf_crime/Temporal_Anomaly_Annotation.txt").write_text(UCF_CRIME)
    (folder / "durations.csv").write_text(LENGTHS)
    return folder


def published(folder: Path) -> Path:
    """The published annotations; those of UCF-Crime have no lengths, HIVAU-70k's of the same videos have."""
    root = Path(os.environ.get("OMNISILA_DATA", "")) / "annotations"
    stated = root / "hivau70k/HIVAU-70k/raw_annotations/ucf_database_test.json"
    if not os.environ.get("OMNISILA_DATA") or not stated.exists():
        pytest.skip("OMNISILA_DATA names no folder with annotations/ in it")
    rows = (f"{name}.mp4,{v['n_frames'] / v['fps']}" for name, v in json.loads(stated.read_text()).items())
    folder.mkdir()
    (folder / "durations.csv").write_text("video,duration_s\n" + "\n".join(rows))
    for name in ("tsl300", "ucf_crime"):
        (folder / name).symlink_to(root / name)
    return folder


@pytest.fixture(params=[written, pytest.param(published, marks=pytest.mark.data)])
def annotations(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return request.param(tmp_path / "annotations")


@pytest.fixture(params=["tsl300", "ucf_crime"])
def examples(
    request: pytest.FixtureRequest, annotations: Path, omnisila: Callable[..., Result], tmp_path: Path
) -> Path:
    """The examples of a set, as the command prepares them."""
    options = ["--durations", annotations / "durations.csv"] if request.param == "ucf_crime" else []
    result = omnisila("prepare", request.param, annotations / request.param, "--out", tmp_path, *options)
    assert result.exit_code == 0, result.stderr
    return tmp_path / "examples.jsonl"


def finding(example: Example, start_s: float, end_s: float, label: str) -> Finding:
    return Finding(span=Span(start_s=start_s, end_s=end_s), label=label, labels=example.labels, score=0.9, cause=None)


def perfect(example: Example) -> Prediction:
    spans = (
        [finding(example, t.span.start_s, min(t.span.end_s, example.end_s), t.label) for t in example.truth]
        if example.task == "locate"
        else [finding(example, example.start_s, example.end_s, example.answer)]
    )
    negative = example.answer in label_set(example.labels).negative
    return Prediction(
        example_id=example.id, system="perfect", answer="", findings=tuple(spans), anomaly=float(negative)
    )


def late(example: Example) -> Prediction:
    """Every span half its length too late."""
    spans = []
    for event in example.truth if example.task == "locate" else ():
        shift_s = LATE_FRAC * (event.span.end_s - event.span.start_s)
        if event.span.start_s + shift_s < example.end_s:
            spans.append(finding(example, event.span.start_s + shift_s, event.span.end_s + shift_s, event.label))
    return Prediction(example_id=example.id, system="late", answer="", findings=tuple(spans))


def grid_counts(asked: list[Example], predictions: dict[str, Prediction]) -> Iterator[tuple[bool, bool, bool]]:
    """Frame by frame at 8 Hz: is it negative, is it flagged, has its video any negative frame."""
    for example in asked:
        if example.task != "locate":
            continue
        negative = label_set(example.labels).negative
        events = [t.span for t in example.truth if t.label in negative]
        flags = [f.span for f in predictions[example.id].findings if f.label in negative]
        times = np.arange(np.ceil(example.end_s * 8 - 1e-6)) / 8
        inside = [np.any([(s.start_s - 1e-7 <= times) & (times < s.end_s - 1e-7) for s in spans], axis=0)
                  if spans else np.zeros(len(times), dtype=bool) for spans in (events, flags)]  # fmt: skip
        for positive, flagged in zip(*inside, strict=True):
            yield bool(positive), bool(flagged), bool(inside[0].any())


def test_figures_are_those_worked_out_by_hand(examples: Path, omnisila: Callable[..., Result], tmp_path: Path) -> None:
    asked = [example for example in records(examples, Example) if example.split == "test"]
    files = []
    for system in (perfect, late):
        files.append(tmp_path / f"{system.__name__}.jsonl")
        append(files[-1], [system(example) for example in asked])

    out = tmp_path / "scores.json"
    result = omnisila("score", examples, *files, "--out", out, "--draws", "0")
    assert result.exit_code == 0, result.stderr

    report = tmp_path / "report"
    result = omnisila("report", out, "--examples", examples, "--predictions", files[1], "--out", report)
    assert result.exit_code == 0, result.stderr
    assert (report / "figures/side-by-side.svg").exists()
    assert "| perfect | ours |" in (report / "tables.md").read_text()

    found = {
        one.system: {(score.metric, score.variant.partition("; ")[2]): score.value for score in one.scores}
        for one in read_scores(out)
    }
    best, shifted, flag_all = found["perfect"], found["late"], found["flag all"]
    grid = "8 Hz grid"
    assert best["accuracy", "window level"] == 1.0
    assert best["mAP@tIoU", "mean of 0.1, 0.2, 0.3; ActivityNet interpolation, ties by input order"] == 1.0
    assert best["FNR", f"frames, micro; {grid}"] == 0.0
    assert best["precision", f"frames; {grid}"] == 1.0
    assert best["false-positive rate", f"frames of eventless videos; {grid}"] == 0.0
    assert best["false alarms per hour", "stretches that touch no event, per eventless hour"] == 0.0

    said = {example.id: late(example) for example in asked}
    frames = np.array(list(grid_counts(asked, said)))
    positive, flagged, eventful = frames.T
    assert shifted["FNR", f"frames, micro; {grid}"] == pytest.approx(1 - (positive & flagged).sum() / positive.sum())
    assert shifted["precision", f"frames; {grid}"] == pytest.approx((positive & flagged).sum() / flagged.sum())
    assert shifted["false-positive rate", f"frames of eventless videos; {grid}"] == (
        pytest.approx((flagged & ~eventful).sum() / (~eventful).sum())
    )
    # half a length late is an overlap of a third: a hit at every threshold, unless the video ends before
    assert shifted["mAP@tIoU", "mean of 0.1, 0.2, 0.3; ActivityNet interpolation, ties by input order"] > 0.9

    assert flag_all["FNR", f"frames, micro; {grid}"] == 0.0
    assert flag_all["precision", f"frames; {grid}"] == pytest.approx(positive.mean())
    assert flag_all["positive frames", f"share; {grid}"] == pytest.approx(positive.mean())
    assert flag_all["AUC", f"frames; span scores; {grid}"] == 0.5
