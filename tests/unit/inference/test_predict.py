"""Prediction runs: every example is answered once, whatever kills the run, and what cannot be parsed is kept."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from omnisila.errors import InputError, MediaError, RecordError
from omnisila.inference.function_system import FunctionSystem
from omnisila.inference.parsed_answers import parsed_answer
from omnisila.inference.predict import predict
from omnisila.inference.systems import system
from omnisila.labels import IMPLICIT
from omnisila.records import records
from omnisila.schema import Example, Prediction


def example(number: int, video: str = "a.mp4", task: str = "identify", split: str = "test") -> Example:
    return Example.model_validate(
        {
            "id": f"{video}#{number}", "video": video, "start_s": number, "end_s": number + 1.0, "task": task,
            "labels": "implicit", "instruction": IMPLICIT.identify, "answer": "Normal", "split": split, "group": video,
        }
    )  # fmt: skip


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    (tmp_path / "footage").mkdir()
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / "footage" / name).write_bytes(b"a video")
    lines = [example(number, video) for video in ("a.mp4", "gone.mp4", "b.mp4") for number in range(3)]
    path = tmp_path / "examples.jsonl"
    path.write_text("".join(one.model_dump_json() + "\n" for one in [*lines, example(9, split="train")]))
    return path


def fire(example: Example, video: Path) -> str:
    assert video.is_file()
    return "Fire." if example.start_s else "I cannot tell"


def test_every_example_gets_a_line_and_missing_videos_are_named(prepared: Path, tmp_path: Path):
    out = tmp_path / "predictions.jsonl"
    ended = predict(prepared, tmp_path / "footage", FunctionSystem("mine:fire", fire), out, split="test")
    assert (ended.answered, ended.before) == (6, 0)
    assert [failure.name for failure in ended.failed] == ["gone.mp4"]
    said = list(records(out, Prediction))
    assert [one.example_id for one in said] == [f"{video}#{n}" for video in ("a.mp4", "b.mp4") for n in range(3)]
    assert [one.parse_ok for one in said] == [False, True, True] * 2
    assert said[0].answer == "I cannot tell"
    assert said[1].findings[0].label == "Fire"
    assert all(one.seconds is not None for one in said)


class Killed:
    """Answers some, then stops as a killed process does."""

    name = "killed"

    def __init__(self, after: int) -> None:
        self.left = after

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        del video
        for one in examples:
            if not self.left:
                raise KeyboardInterrupt
            self.left -= 1
            yield parsed_answer(one, "Normal", self.name)


def test_a_killed_run_goes_on_after_its_half_line(prepared: Path, tmp_path: Path):
    out = tmp_path / "predictions.jsonl"
    with pytest.raises(KeyboardInterrupt):
        predict(prepared, tmp_path / "footage", Killed(4), out, split="test")
    assert len(list(records(out, Prediction))) == 3  # the first video's; the fourth was not yet written
    with out.open("ab") as file:
        file.write(b'{"example_id": "b.mp')
    ended = predict(prepared, tmp_path / "footage", Killed(99), out, split="test")
    assert (ended.answered, ended.before) == (3, 3)
    assert len({one.example_id for one in records(out, Prediction)}) == 6


def test_answers_to_other_questions_or_footage_are_asked_again_and_kept_aside(prepared: Path, tmp_path: Path):
    out, footage = tmp_path / "out.jsonl", tmp_path / "footage"
    asked = [one for one in records(prepared, Example) if one.video != "gone.mp4"]

    def run(examples: list[Example]) -> tuple[int, int, int]:
        prepared.write_text("".join(one.model_dump_json() + "\n" for one in examples))
        ended = predict(prepared, footage, Killed(99), out)
        assert {one.example_id for one in records(out, Prediction)} >= {one.id for one in examples}
        return ended.answered, ended.before, ended.outdated

    assert run(asked) == (7, 0, 0)
    corrected = [one.replace(answer="Fire", split="test") for one in asked]
    assert run(corrected) == (0, 7, 0), "another truth needs no other answer"
    shifted = [asked[0].replace(end_s=2.0), *corrected[1:]]
    assert run(shifted) == (1, 6, 1)
    (footage / "b.mp4").write_bytes(b"another video")
    assert run(shifted) == (3, 4, 3)
    assert len(list(records(out, Prediction))) == 7
    assert len(list(records(tmp_path / "out.outdated.jsonl", Prediction))) == 4
    by_id = {one.id: one for one in shifted}
    assert not any(one.is_stale(by_id[one.example_id]) for one in records(out, Prediction))
    assert run(shifted[1:]) == (0, 6, 1), "a window that is no longer asked about"
    elsewhere = [one.replace(id=f"other/{one.id}", video="c.mp4") for one in asked[:1]]
    (footage / "c.mp4").write_bytes(b"a third video")
    prepared.write_text(elsewhere[0].model_dump_json() + "\n")
    ended = predict(prepared, footage, Killed(99), out)
    assert (ended.answered, ended.outdated) == (1, 0), "answers to another set of examples stay"
    assert run(shifted) == (1, 6, 0)
    unsigned = [one.replace(example_digest=None) for one in records(out, Prediction)]
    out.write_text("".join(one.model_dump_json() + "\n" for one in unsigned))
    assert run(shifted) == (7, 0, 7), "an answer that does not say what it answers cannot be trusted"


def test_footage_that_is_not_what_was_prepared_is_named(prepared: Path, tmp_path: Path):
    prepared.write_text(example(0).replace(video_sha256="0" * 64).model_dump_json() + "\n")
    (failure,) = predict(prepared, tmp_path / "footage", Killed(9), tmp_path / "out.jsonl").failed
    assert "not the footage that the examples were prepared from" in failure.reason


class Broken:
    """Cannot read one of the videos."""

    name = "broken"

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        if video.name == "a.mp4":
            raise MediaError("a.mp4: no video stream.")
        for one in examples:
            yield parsed_answer(one, "Normal", self.name)


def test_a_bad_video_does_not_stop_the_rest(prepared: Path, tmp_path: Path):
    ended = predict(prepared, tmp_path / "footage", Broken(), tmp_path / "out.jsonl", split="test")
    assert ended.answered == 3
    assert {failure.name for failure in ended.failed} == {"a.mp4", "gone.mp4"}


def test_answers_of_another_system_are_not_mixed(prepared: Path, tmp_path: Path):
    out = tmp_path / "out.jsonl"
    predict(prepared, tmp_path / "footage", Broken(), out)
    with pytest.raises(InputError, match="holds answers of broken, not of killed"):
        predict(prepared, tmp_path / "footage", Killed(9), out)


def test_wrong_input_is_named(prepared: Path, tmp_path: Path):
    with pytest.raises(InputError, match="no example of split 'val'"):
        predict(prepared, tmp_path / "footage", Broken(), tmp_path / "out.jsonl", split="val")
    prepared.write_text('{"id": "x"}\n')
    with pytest.raises(RecordError, match=r"examples\.jsonl, line 1: no Example \(video: missing\)"):
        predict(prepared, tmp_path / "footage", Broken(), tmp_path / "out2.jsonl")


@pytest.mark.parametrize("name", ["no_such_module:f", "json:no_such", "json:__doc__"])
def test_no_such_function_is_named(name: str):
    with pytest.raises(InputError, match=name):
        system(name)


def test_a_users_function_is_found_beside_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_system.py").write_text("def answer(example, video):\n    return 'Normal'\n")
    monkeypatch.chdir(tmp_path)
    found: Callable = system("my_system:answer").predictions
    assert [one.parse_ok for one in found(tmp_path, [example(0)])] == [True]
