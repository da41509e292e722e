"""A conversation says what reading everything anew would say."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from omnisila.errors import InputError
from omnisila.inference.chat import Chat, TaughtChat
from omnisila.inference.run_folders import run_folder
from omnisila.labels import IMPLICIT
from omnisila.models.checkpoint import load_run
from omnisila.models.tokens import batch_prompts
from omnisila.scenes.cache import FeatureCache

QUESTIONS = (IMPLICIT.identify, IMPLICIT.locate, IMPLICIT.identify)


@pytest.fixture
def talk(make_video: Callable[..., Path], tmp_path: Path) -> Chat:
    return Chat(load_run(run_folder("compact")), make_video("a.mp4", frames=36, rate_hz=12), FeatureCache(tmp_path))


def test_cached_turns_equal_reading_the_whole_conversation_again(talk: Chat) -> None:
    for question in QUESTIONS:
        before = list(talk._ids)
        said = talk.ask(question, max_tokens=12)
        (first,) = talk.model.prompts([question], talk.inputs.scenes, talk.inputs.visual)
        asked = [*before, *talk.llm.turn_ids(question)] if before else first
        with torch.no_grad():
            anew = talk.llm.generate(talk._embeds[:, : len(asked)], batch_prompts([asked], talk.llm.pad_id), 12, 1)
        assert said == anew.texts[0]


def test_only_what_is_new_is_read(talk: Chat) -> None:
    talk.ask(QUESTIONS[0], max_tokens=4)
    first = talk._read.get_seq_length()
    talk.ask(QUESTIONS[1], max_tokens=4)
    assert len(talk._ids) - 1 >= talk._read.get_seq_length() - 3 > first


def test_a_question_that_is_too_long_is_refused_and_forgotten(talk: Chat) -> None:
    first = talk.ask(QUESTIONS[0], max_tokens=4)
    with pytest.raises(InputError, match="the model reads 1024"):
        talk.ask("word " * 2000, max_tokens=4)
    assert talk.ask(QUESTIONS[0], max_tokens=4) is not None
    assert first is not None


def test_a_model_that_was_not_pretrained_answers_what_it_was_taught_and_refuses_the_rest(
    make_video: Callable[..., Path], tmp_path: Path
) -> None:
    talk = TaughtChat(load_run(run_folder("compact")), make_video("a.mp4", frames=36), FeatureCache(tmp_path))
    said = talk.ask("which event does this video show")
    assert said in ("Fire", "Normal")  # the clip is drawn
    located = talk.ask(IMPLICIT.locate)
    assert (located == "nothing") == (said == "Normal")
    assert located == "nothing" or located.startswith(said)
    assert (talk.ask("Why does this video show Fire?") == "Fire was not found.") == (said == "Normal")
    assert talk.ask("Why does this video show Theft?") == "Theft was not found."
    for question in ("Describe the background.", "Why does this video show Robbery?", ""):
        with pytest.raises(InputError, match=r"was not taught this. Ask one of: Which event") as refused:
            talk.ask(question)
        assert all(one in str(refused.value) for one in talk.questions.texts)
    assert "Why does this video show Theft?" in talk.questions.texts
