"""``omnisila predict`` with the embedded model: each task's answer has the form that the examples ask for."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from omnisila.labels import EXPLICIT, IMPLICIT
from omnisila.records import records
from omnisila.schema import Example, Prediction

ASKED = (
    ("identify", "implicit", IMPLICIT.identify, 1.0, 2.0),
    ("identify", "explicit", EXPLICIT.identify, 0.0, 3.0),
    ("locate", "implicit", IMPLICIT.locate, 0.0, 3.0),
    ("attribute", "implicit", IMPLICIT.attribute.format(label="Fire"), 0.5, 2.5),
    ("describe", "implicit", "Please describe the background.", 0.0, 1.0),
)


def test_every_task_is_answered(omnisila: Callable[..., Result], make_video: Callable[..., Path], tmp_path: Path):
    make_video("clip.mp4", frames=36, rate_hz=12)
    lines = [
        Example.model_validate(
            {
                "id": f"{number}", "video": "clip.mp4", "start_s": start_s, "end_s": end_s, "task": task,
                "labels": labels, "instruction": instruction, "answer": "", "split": "test", "group": "clip",
            }
        )
        for number, (task, labels, instruction, start_s, end_s) in enumerate(ASKED)
    ]  # fmt: skip
    examples, out = tmp_path / "examples.jsonl", tmp_path / "predictions.jsonl"
    examples.write_text("".join(line.model_dump_json() + "\n" for line in lines))
    result = omnisila("predict", examples, "--footage", tmp_path, "--out", out)
    assert result.exit_code == 0, result.stderr
    said = {one.example_id: one for one in records(out, Prediction)}
    assert set(said) == {str(number) for number in range(len(ASKED))}
    assert all(one.parse_ok and one.system.startswith("compact@") for one in said.values())
    for number in ("0", "1"):
        posterior = said[number].posterior
        assert posterior is not None
        assert sum(posterior.values()) == pytest.approx(1.0, abs=1e-3)
        assert said[number].answer == max(posterior, key=posterior.__getitem__)
    assert said["3"].findings[0].label == "Fire"
    assert said["4"].answer


def test_a_task_that_the_model_was_not_taught_is_refused(
    omnisila: Callable[..., Result], make_video: Callable[..., Path], tmp_path: Path
):
    make_video("clip.mp4", frames=12, rate_hz=12)
    asked = Example(
        id="0", video="clip.mp4", start_s=0, end_s=1, task="react", labels="reaction", instruction="?", answer="",
        split="test", group="clip",
    )  # fmt: skip
    examples = tmp_path / "examples.jsonl"
    taught = asked.replace(id="1", task="identify", labels="implicit")
    examples.write_text("\n".join(example.model_dump_json() for example in (asked, taught)))
    result = omnisila("predict", examples, "--footage", tmp_path, "--out", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "does not answer react of label set 'reaction'" in result.stderr
