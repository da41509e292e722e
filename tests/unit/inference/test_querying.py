"""A Video-LLM asked about real clips: what it sees, what it is asked, and what is kept of its answers."""

import pytest
import torch

from omnisila.data.instructions import REACT_QUESTION
from omnisila.errors import WeightsError
from omnisila.inference.frozen_llm import FrozenLLM
from omnisila.inference.parsed_answers import parsed_answer
from omnisila.inference.predict import predict
from omnisila.inference.querying import Querying
from omnisila.inference.systems import System, system
from omnisila.labels import IMPLICIT
from omnisila.models.probing import PROMPTS, pooled_tokens
from omnisila.models.tokens import batch_prompts
from omnisila.records import append, records
from omnisila.schema import Example, Prediction

ASKED = {  # task -> label set and instruction, as prepare writes them
    "identify": ("implicit", IMPLICIT.identify),
    "locate": ("implicit", IMPLICIT.locate),
    "attribute": ("implicit", IMPLICIT.attribute.format(label="Fire")),
    "describe": ("relation", "Please describe the image region."),
    "react": ("reaction", REACT_QUESTION),
}


def example(task):
    labels, instruction = ASKED[task]
    return Example(
        id=f"set/1#{task}", video="1.mp4", start_s=0.0, end_s=2.0, task=task, labels=labels,
        instruction=instruction, answer="", split="val", group="1",
    )  # fmt: skip


@pytest.fixture
def llm(make_llava):
    return FrozenLLM(make_llava(), frames=3)


def test_every_task_of_an_examples_file_is_answered_by_name(video_llava_folder, make_video, tmp_path):
    make_video("1.mp4", frames=24, rate_hz=12)
    append(tmp_path / "examples.jsonl", [example(task) for task in ASKED])
    asked = system(f"query:{video_llava_folder}")
    assert isinstance(asked, Querying)
    assert isinstance(asked, System)
    assert (asked.name, asked.llm.frames) == (f"query:{video_llava_folder}", None)  # as many as its authors show
    asked.max_tokens = 3
    ended = predict(tmp_path / "examples.jsonl", tmp_path, asked, tmp_path / "out.jsonl")
    assert (ended.answered, ended.unparsed, ended.failed) == (5, 3, ())
    said = {one.example_id.partition("#")[2]: one for one in records(tmp_path / "out.jsonl", Prediction)}
    for task, one in said.items():  # untrained: whatever it says, it is kept
        assert one.system == asked.name
        assert one.answer == asked.llm.ask(tmp_path / "1.mp4", (0.0, 2.0), asked.question(example(task)), 3)
        assert one.parse_ok is (task in ("attribute", "describe"))
        assert (one.findings, one.intensities) == ((), None)
        assert one.seconds > 0
    with pytest.raises(WeightsError, match="nowhere: no such folder"):
        system("query:./nowhere")


def test_the_form_of_an_answer_is_asked_for_and_read():
    asked = {task: Querying.question(example(task)) for task in ASKED}
    assert asked["identify"].startswith(f"{IMPLICIT.identify} Answer with one of these labels")
    assert all(label in asked["identify"] for label in IMPLICIT.labels)
    assert "Fire" in asked["locate"]
    assert [asked[task] for task in ("attribute", "describe", "react")] == [
        ASKED[task][1] for task in ("attribute", "describe", "react")
    ]
    (fire,) = parsed_answer(example("identify"), "Fire.", "llava").findings
    assert (fire.label, fire.span.end_s) == ("Fire", 2.0)
    calm = parsed_answer(example("identify"), "Normal", "llava")
    assert (calm.findings, calm.parse_ok) == ((), True)
    (located,) = parsed_answer(example("locate"), "Fire from 0.5s to 1s", "llava").findings
    assert (located.span.start_s, located.span.end_s) == (0.5, 1.0)
    for task in ("identify", "locate"):
        prose = parsed_answer(example(task), "I see a fire.", "llava")
        assert (prose.answer, prose.findings, prose.parse_ok) == ("I see a fire.", (), False)
    felt = parsed_answer(example("react"), "Fear: 0.4, Disgust: 0.2 or 0.3", "llava")
    assert (felt.parse_ok, felt.intensities) == (True, {"Fear": 0.4})


def test_the_prompt_that_is_read_is_the_question_behind_the_frames(llm, make_video):
    video, question = make_video("1.mp4", frames=24, rate_hz=12), "Which event?"
    tokens = batch_prompts([llm.llm.prompt_ids(question, 3, 0)], llm.llm.pad_id)
    with torch.inference_mode():
        embeds = llm.llm.embed(tokens.ids, llm.see(video, (0.0, 2.0)))
        wanted = llm.llm.generate(embeds, tokens, 4, 1).texts[0]
    assert llm.ask(video, (0.0, 2.0), question, 4) == wanted


def test_the_first_and_the_last_frame_are_seen(llm, make_video):
    video = make_video("1.mp4", frames=24, rate_hz=12)
    levels = llm.pictures(video, (0.0, 2.0), 3).float()[:, -4:, -4:].mean((1, 2, 3))
    assert levels.tolist() == pytest.approx([20, 20 + 10 * 12, 20 + 10 * (23 % 22)], abs=6)


def test_a_clips_pooled_tokens_are_those_of_what_is_seen(llm, make_video):
    video = make_video("1.mp4", frames=24, rate_hz=12)
    wanted = pooled_tokens(llm.llm, llm.see(video, (0.0, 2.0)), PROMPTS[1])[0]
    torch.testing.assert_close(llm.pool(video, (0.0, 2.0), PROMPTS[1]), wanted)
