"""Other tools' predictions: every form gives what it says, and what is malformed is kept and counted."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from omnisila.errors import RecordError
from omnisila.evaluation.scoring import score_systems
from omnisila.predictions.read import read_predictions
from omnisila.report.exports import activitynet
from omnisila.schema import Example, Prediction, Span, Truth
from omnisila.systems import SpanRow

VIDEOS = ("Fire/a.mp4", "b.mp4", "c.v2.mkv")
HEADER = "video,start_s,end_s,label,score\n"


def example(video: str, task: Any = "locate", labels: str = "anomaly", **more: Any) -> Example:
    values = {"start_s": 0.0, "end_s": 60.0, "instruction": "?", "answer": "?", "split": "test", "group": video} | more
    return Example(id=f"{video}#{task}#{labels}", video=video, task=task, labels=labels, **values)


LOCATE = tuple(example(video) for video in VIDEOS)


def imported(
    folder: Path, name: str, text: str, examples: tuple[Example, ...] = LOCATE
) -> tuple[Sequence[Prediction], Sequence[str]]:
    path = folder / name
    path.write_text(text, encoding="utf-8", newline="")
    system = read_predictions(path, examples, "theirs")
    return system.predictions, system.strangers


def test_a_table_of_spans_answers_the_locate_examples_of_its_videos(tmp_path):
    rows = "a,1,2.5,Arson,0.5\nFire/a.mp4,3,4,Fighting,0.25\nelsewhere.avi,1,2,Arson,1\n/data/c.v2.mkv,0,1,Normal,1\n"
    found, strangers = imported(tmp_path, "theirs.csv", "\ufeff" + HEADER + rows.replace("\n", "\r\n"))
    first, silent, second = found
    assert (first.example_id, first.system, first.parse_ok) == ("Fire/a.mp4#locate#anomaly", "theirs", True)
    assert [(one.label, one.labels, one.span, one.score) for one in first.findings] == [
        ("Arson", "anomaly", Span(start_s=1.0, end_s=2.5), 0.5),
        ("Fighting", "anomaly", Span(start_s=3.0, end_s=4.0), 0.25),
    ]
    assert (silent.example_id, silent.findings) == ("b.mp4#locate#anomaly", ()), "no span: nothing was found"
    assert (second.example_id, second.findings) == ("c.v2.mkv#locate#anomaly", ()), "Normal is no finding"
    assert strangers == ("elsewhere.avi",)


def test_spans_answer_windows_and_whole_videos_as_prepare_makes_their_truth(tmp_path):
    asked = (
        *(example("b.mp4").replace(id=f"b.mp4#{k}", task="identify", start_s=k, end_s=k + 1.0) for k in range(4)),
        example("b.mp4", "identify"), example("b.mp4"), example("Fire/a.mp4", "identify"),
    )  # fmt: skip
    rows = "b,0.75,2.5,Arson,0.5\nb,0,0.25,Fighting,0.9\nb,2.25,4,Fighting,0.25\nb,7,7,Fighting,1\n"
    found, _ = imported(tmp_path, "theirs.csv", HEADER + rows, asked)
    said = {one.example_id: one for one in found}
    assert [said[one.id].answer for one in asked[:4]] == ["Normal", "Arson", "Fighting", "Fighting"]
    assert [one.score for one in said["b.mp4#1"].findings] == [0.5]
    assert said["b.mp4#identify#anomaly"].answer == "Fighting"
    assert said["Fire/a.mp4#identify#anomaly"].answer == "Normal", "no span says that nothing was found"
    assert all(one.parse_ok for one in found if "locate" not in one.example_id)


def test_published_names_of_labels_are_known_and_strays_are_kept(tmp_path):
    asked = (example("b.mp4", labels="explicit"),)
    rows = "b,1,2,n,0.5\nb,3,3,p,0.25\nb,4,5,neutral,1\nelsewhere,1,2,n,0.75\nother,1,2,n,0.5\n"
    path = tmp_path / "theirs.csv"
    path.write_text(HEADER + rows)
    found = read_predictions(path, asked, others=[example("other.mp4").replace(split="train")])
    assert [one.label for one in found.predictions[0].findings] == ["negative"]
    assert found.strays == {
        "explicit": [SpanRow("b.mp4", "positive", 3, 3, 0.25), SpanRow("elsewhere", "negative", 1, 2, 0.75)]
    }
    assert found.strangers == ("elsewhere",), "a video of another split is passed over"


def test_a_perfect_table_of_spans_is_perfect_at_every_task(tmp_path):
    spans = {"Fire/a.mp4": (0.0, 2.0), "b.mp4": (1.0, 3.0)}
    truth = {v: (Truth(span=Span(start_s=s, end_s=e), label="Arson"),) for v, (s, e) in spans.items()}
    asked = [example(v, truth=truth.get(v, ()), end_s=4.0) for v in VIDEOS]
    for video in VIDEOS:
        start_s, end_s = spans.get(video, (0, 0))
        for k in range(4):
            answer = "Arson" if start_s <= k < end_s else "Normal"
            asked.append(example(video, "identify", start_s=k, end_s=k + 1.0, answer=answer).replace(id=f"{video}#{k}"))
    path = tmp_path / "theirs.csv"
    path.write_text(HEADER + "".join(f"{v},{s},{e},Arson,0.5\n" for v, (s, e) in spans.items()))
    imported = read_predictions(path, asked)
    assert imported.unmentioned == ("c.v2.mkv",)
    scores = {(s.metric, s.variant): s.value for s in score_systems(asked, [imported], draws=0)[0].scores}
    assert scores["accuracy", "anomaly; window level"] == 1.0
    assert scores["mAP@tIoU", "anomaly; mean of 0.1, 0.2, 0.3; ActivityNet interpolation, ties by input order"] == 1.0


def test_answers_to_other_versions_are_left_out_and_a_file_of_nothing_else_is_refused(tmp_path):
    asked, path = tuple(example(video, "identify") for video in VIDEOS[:2]), tmp_path / "predictions.jsonl"
    before = asked[0].replace(start_s=2.0)
    lines = [
        Prediction(example_id=one.id, example_digest=one.digest, system="ours", answer="Arson")
        for one in (before, asked[1])
    ]
    path.write_text("".join(one.model_dump_json() + "\n" for one in lines))
    found = read_predictions(path, asked)
    assert ([one.example_id for one in found.predictions], found.stale) == ([asked[1].id], 1)
    with pytest.raises(RecordError, match="all 1 predictions answer other versions of these examples"):
        read_predictions(path, asked[:1])


def test_results_in_the_form_of_activitynet(tmp_path):
    entry = {"label": "Arson", "score": 0.5, "segment": [1, 2.5]}
    text = json.dumps({"version": "VERSION 1.3", "results": {"a": [entry], "b": [], "c.v2": [entry]}})
    found, strangers = imported(tmp_path, "theirs.json", text)
    assert [len(one.findings) for one in found] == [1, 0, 1]
    assert all(one.parse_ok for one in found), "an empty list says that nothing happens"
    assert strangers == ()


def test_our_own_export_goes_to_the_label_sets_that_were_asked(tmp_path, make_analysis, make_finding):
    text = activitynet.export(make_analysis(make_finding(1, 2), make_finding(3, 4, "negative"), path="b.mp4"))
    (found,), _ = imported(tmp_path, "ours.json", text, (example("b.mp4", labels="explicit"),))
    assert [one.label for one in found.findings] == ["negative"]
    assert found.findings[0].cause == "Two people close to each other at 3 s."


def test_a_span_that_does_not_run_forward_is_kept_raw_and_counted(tmp_path):
    rows = "b,9,7,Arson,0.5\nb,1,2,Arson,0.25\na,nan,2,Arson,1\na,1,inf,Arson,1\n"
    found, _ = imported(tmp_path, "theirs.csv", HEADER + rows)
    by_id = {one.example_id: one for one in found}
    mixed, strange = by_id["b.mp4#locate#anomaly"], by_id["Fire/a.mp4#locate#anomaly"]
    assert not mixed.parse_ok
    assert [one.span for one in mixed.findings] == [Span(start_s=1.0, end_s=2.0)]
    assert json.loads(mixed.answer)[0] == {"label": "Arson", "score": 0.5, "segment": [9.0, 7.0]}
    assert not strange.parse_ok
    assert strange.findings == ()


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_raw_answers_are_parsed_as_their_task_asks(tmp_path, form):
    react = "; ".join(
        f"{label}: 0.5"
        for label in ("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic Pain", "Fear", "Surprise")
    )
    asked = (
        example("a", "identify"), example("a", "locate"), example("a", "attribute"), example("a", "react", "reaction"),
        example("b", "identify"), example("b", "locate"), example("b", "react", "reaction"),
    )  # fmt: skip
    said = ("arson.", "Arson from 1s to 2.5s", 'He said “fire”,\nthen "ran" 視', react, "perhaps arson", "soon", "0.5")
    answers = {one.id: text for one, text in zip(asked, said, strict=True)} | {"nobody": "Arson"}
    if form == "csv":
        cells = ('"' + text.replace('"', '""') + '"' for text in answers.values())
        text = "example_id,answer\n" + "".join(f"{name},{cell}\n" for name, cell in zip(answers, cells, strict=True))
    else:
        text = "\n".join(json.dumps({"example_id": name, "answer": said}) for name, said in answers.items())
    found, strangers = imported(tmp_path, f"theirs.{form}", text, asked)
    assert [one.answer for one in found] == list(said)
    assert [one.parse_ok for one in found] == [True, True, True, True, False, False, False]
    assert found[0].findings[0].label == "Arson"
    assert found[1].findings[0].span == Span(start_s=1.0, end_s=2.5)
    assert found[3].intensities == dict.fromkeys(found[3].intensities, 0.5)
    assert len(found[3].intensities) == 7
    assert all(one.findings == () and one.intensities is None for one in found[4:])
    assert strangers == ("nobody",)


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(codec="utf-8"), max_size=30), st.sampled_from(["identify", "locate", "attribute", "react"])
)
def test_no_answer_is_lost(tmp_path, answer, task):
    asked = (example("a", task, "reaction" if task == "react" else "anomaly"),)
    text = json.dumps({"example_id": asked[0].id, "answer": answer}, ensure_ascii=False)
    (found,), _ = imported(tmp_path, "theirs.jsonl", text + "\n", asked)
    assert found.answer == answer


def test_seconds_are_kept(tmp_path):
    asked = (example("a", "identify"),)
    (found,), _ = imported(
        tmp_path, "x.jsonl", f'{{"example_id": "{asked[0].id}", "answer": "Fire", "seconds": 2}}', asked
    )
    assert found.seconds == 2.0
    assert not found.parse_ok, "Fire is no label of this set"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("x.csv", "video,start,end\n", r"x\.csv, line 1: columns video, start, end"),
        ("x.csv", "", "line 1: columns none"),
        ("x.csv", HEADER + "b,1,2,Arson\n", "line 2: . fields, the header has 5"),
        ("x.csv", HEADER + "b,1,2,Arson,1,2\n", "line 2: . fields, the header has 5"),
        ("x.csv", HEADER + "b,1,2,Arson,0.5\nb,one,2,Arson,0.5\n", "line 3: could not convert string to float: 'one'"),
        ("x.csv", HEADER + "b,1,2,Arson,7.25\n", r"line 2: score 7\.25; map scores into \[0, 1\]"),
        ("x.csv", HEADER + "b,1,2,Arson,nan\n", "line 2: score nan"),
        ("x.csv", HEADER + "b,1,2,arson,1\n", "line 2: label 'arson' is in none of the label sets anomaly"),
        ("x.csv", HEADER + 'b,1,2,Arson,"1\n', "after line 2: unexpected end of data"),
        ("x.jsonl", '{"example_id": "a", "answer": "b"}\n{"answer": "b"}', "line 2: example_id: missing"),
        ("x.jsonl", "\n\nFire", r"x\.jsonl, line 3: no JSON"),
        (
            "x.json",
            '{"results": {"b": [{"label": "Arson", "segment": [1, 2]}]}}',
            r"x\.json, video 'b', entry 1: no score",
        ),
        ("x.json", "{}", r"x\.json: neither results nor a database"),
        ("x.txt", "", r"a file ending in \.txt"),
    ],
)
def test_malformed_files_are_named(tmp_path, name, text, message):
    with pytest.raises(RecordError, match=message):
        imported(tmp_path, name, text)


def test_what_cannot_be_told_is_not_guessed(tmp_path):
    twice = (example("x/a.mp4"), example("y/a.mp4"))
    with pytest.raises(RecordError, match=r"video 'a' may be x/a\.mp4 or y/a\.mp4; name it by its path"):
        imported(tmp_path, "x.csv", HEADER + "a,1,2,Arson,1\n", twice)
    found, _ = imported(tmp_path, "x.csv", HEADER + "y/a.mp4,1,2,Arson,1\n", twice)
    assert [len(one.findings) for one in found] == [0, 1]
    with pytest.raises(RecordError, match="no example asks to locate"):
        imported(tmp_path, "x.csv", HEADER + "a,1,2,Arson,1\n", (example("a", "identify"),))
    with pytest.raises(RecordError, match=r"none\.csv: cannot be read"):
        read_predictions(tmp_path / "none.csv", LOCATE)
    (tmp_path / "latin.csv").write_bytes(HEADER.encode() + b"\xe9,1,2,Arson,1\n")
    with pytest.raises(RecordError, match="not UTF-8 at byte"):
        read_predictions(tmp_path / "latin.csv", LOCATE)


def test_records_of_ours_keep_their_system_and_strangers_are_named(tmp_path):
    path = tmp_path / "predictions.jsonl"
    mine = [Prediction(example_id=name, system="ours", answer="nothing") for name in (LOCATE[0].id, "elsewhere")]
    path.write_text("".join(one.model_dump_json() + "\n" for one in mine))
    assert read_predictions(path, LOCATE)[:3] == ("ours", (mine[0],), ("elsewhere",))
    elsewhere = LOCATE[0].replace(id="elsewhere", split="train")
    assert read_predictions(path, LOCATE, others=[elsewhere]).strangers == (), "another split's is no stranger"

    with path.open("a") as file:
        file.write(mine[0].replace(system="theirs").model_dump_json() + "\n")
    with pytest.raises(RecordError, match="predictions of ours, theirs, wanted one system"):
        read_predictions(path, LOCATE)
