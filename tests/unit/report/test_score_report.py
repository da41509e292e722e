"""Reports from scores: all scores, those of each label, several files, and inference time."""

from pathlib import Path

import pytest

from omnisila.errors import InputError
from omnisila.report.score_report import Material, join_score_files, tables_of, write_score_report
from omnisila.report.score_tables import all_scores, differences, per_label, per_label_table
from omnisila.report.timing import inference_time
from omnisila.schema import Example, Prediction, Score, Scores
from omnisila.systems import short_names


def score(metric: str, variant: str, value: float | None, count: int = 2, **rest: float) -> Score:
    return Score(metric=metric, variant=variant, value=value, count=count, **rest)


A = Scores(
    system="a",
    scores=(
        score("FNR", "explicit; frames, micro", 0.5, low=0.25, high=0.75),
        score("Sen-A", "anomaly; Arson; the label's name in the text", 1.0, count=1),
        score("Sen-A", "anomaly; Abuse; the label's name in the text", 0.5, count=4),
        score("seconds per example", "mean", None),
    ),
)
B = Scores(system="b", scores=(score("Sen-A", "anomaly; Arson; the label's name in the text", 0.0, count=1),))
DIFFERENCE = Scores(
    system="b minus a", scores=(score("difference of FNR", "explicit; frames, micro", 0.1, p_value=0.04),)
)


def test_all_scores_has_a_column_for_each_system_and_none_for_differences() -> None:
    table = all_scores([A, B, DIFFERENCE])
    assert [column.head for column in table.columns] == ["count", "a", "b", "note"]
    assert table.rows[0].names == ("FNR", "explicit; frames, micro")
    first = table.rows[0].cells
    assert (first[0].value, first[1].value, first[1].low, first[2].value) == (2, 0.5, 0.25, None)


def test_differences_carry_p_values() -> None:
    table = differences([A, B, DIFFERENCE])
    assert table is not None
    assert table.rows[0].names == ("b minus a", "FNR", "explicit; frames, micro")
    assert [cell.value for cell in table.rows[0].cells[:2]] == [0.1, 0.04]
    assert differences([A]) is None


def test_labels_stand_in_their_sets_order() -> None:
    (figures,) = per_label([A, B])
    assert figures.names == ("Abuse", "Arson")
    table = per_label_table(figures)
    assert [[cell.value for cell in row.cells] for row in table.rows] == [[0.5, 1.0], [None, 0.0]]
    assert "Abuse 4, Arson 1" in table.notes[1]


def test_systems_in_folders_have_their_folders_names(tmp_path: Path) -> None:
    full = [
        "/data/models/valley@1",
        "query:/data/a/smol",
        "query:/data/b/smol",
        "Qwen/Qwen3-VL@2",
        "runs/icm@3",
        "../x/y/",
    ]
    wanted = ["valley@1", "query:a/smol", "query:b/smol", "Qwen3-VL@2", "icm@3", "y"]
    assert list(short_names(full).values()) == wanted
    systems = [A.replace(system="/data/models/valley@1"), DIFFERENCE.replace(system="b minus /data/models/valley@1"), B]
    write_score_report(Material(tuple(systems)), tmp_path)
    tables = (tmp_path / "tables.md").read_text()
    assert "/data/models" not in tables
    assert "b minus valley@1" in tables


def test_left_out_tables_are_named() -> None:
    tables, left_out = tables_of([A])
    assert [table.name for table in tables][-1] == "all-scores"
    assert any(reason.startswith("Emotional reaction, Table 4") for reason in left_out)


def test_two_files_of_one_system_are_one_entry() -> None:
    more = Scores(system="a", scores=(score("seconds per example", "mean", 3.0), A.scores[0]))
    (one,) = join_score_files([(Path("x.json"), [A]), (Path("y.json"), [more])])
    assert [(item.variant, item.value) for item in one.scores][-1] == ("mean; y.json", 3.0)
    assert len(one.scores) == 5


def test_files_that_contradict_each_other_are_refused() -> None:
    other = Scores(system="a", scores=(score("FNR", "explicit; frames, micro", 0.4),))
    with pytest.raises(InputError, match=r"y\.json: a has FNR .* 0\.4, but 0\.5 in a file before it"):
        join_score_files([(Path("x.json"), [A]), (Path("y.json"), [other])])


def test_inference_time_is_per_minute_of_answered_video() -> None:
    def example(name: str, end_s: float, task: str = "locate") -> Example:
        return Example.model_validate(
            {
                "id": name, "video": name, "start_s": 0.0, "end_s": end_s, "task": task, "labels": "anomaly",
                "instruction": "?", "answer": "", "split": "test", "group": name,
            }
        )  # fmt: skip

    examples = [example("x", 30.0), example("y", 60.0), example("z", 99.0), example("w", 1.0, "identify")]
    said = [
        Prediction(example_id=name, system="s", answer="", seconds=seconds)
        for name, seconds in (("x", 10.0), ("y", 5.0), ("z", None), ("w", 50.0))
    ]
    (time,) = inference_time(examples, said)
    assert (time.variant, time.value, time.count) == ("anomaly; seconds per minute of video", pytest.approx(10.0), 2)
