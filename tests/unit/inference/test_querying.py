"""A Video-LLM asked the paper's question about a real clip; what it sees and what is kept of its answer."""

import pytest
import torch

from omnisila.data.instructions import REACT_QUESTION
from omnisila.errors import InputError, WeightsError
from omnisila.inference.querying import Querying, Sight, pooled_clip
from omnisila.inference.systems import System, system
from omnisila.models.probing import PROMPTS, pooled_tokens
from omnisila.models.video_llava import VideoLlavaLLM
from omnisila.models.visual_tower import ClipTower
from omnisila.schema import Example


@pytest.fixture
def parts(make_video_llava):
    model, tokenizer = make_video_llava()
    return VideoLlavaLLM(model, tokenizer), Sight(ClipTower(model.model.video_tower), frames=3)


def example(task="react"):
    return Example(
        id="hume_reaction/1#react", video="1.mp4", start_s=0.0, end_s=2.0, task=task, labels="reaction",
        instruction=REACT_QUESTION, answer="", split="val", group="1",
    )  # fmt: skip


def saying(llm, monkeypatch, text):
    own = llm.generate
    monkeypatch.setattr(llm, "generate", lambda *asked: own(*asked)._replace(texts=(text,)))


def test_what_the_model_says_is_kept_and_read(parts, make_video, monkeypatch):
    llm, sight = parts
    video = make_video("1.mp4", frames=24, rate_hz=12)
    querying = Querying("llava", llm, sight, max_tokens=5)
    assert isinstance(querying, System)
    (own,) = querying.predictions(video, [example()])  # untrained: whatever it says, it is kept
    assert own.system == "llava"
    assert not own.parse_ok
    assert own.intensities is None
    saying(llm, monkeypatch, "Fear: 0.4, Disgust: 0.2 or 0.3")
    (said,) = querying.predictions(video, [example()])
    assert said.parse_ok
    assert said.intensities == {"Fear": 0.4}
    assert said.answer.endswith("0.3")
    assert said.seconds > 0


def test_the_first_and_the_last_frame_are_seen(parts, make_video):
    _, sight = parts
    video = make_video("1.mp4", frames=24, rate_hz=12)
    levels = sight._pictures(video, 0.0, 2.0, 3).float()[:, -4:, -4:].mean((1, 2, 3))
    assert levels.tolist() == pytest.approx([20, 20 + 10 * 12, 20 + 10 * (23 % 22)], abs=6)


def test_a_clips_pooled_tokens_are_those_of_what_is_seen(parts, make_video):
    llm, sight = parts
    video = make_video("1.mp4", frames=24, rate_hz=12)
    pooled = pooled_clip(llm, sight, video, (0.0, 2.0), PROMPTS[1])
    torch.testing.assert_close(pooled, pooled_tokens(llm, sight.seen(video, 0.0, 2.0), PROMPTS[1])[0])


def test_other_tasks_are_refused(parts, tmp_path):
    llm, sight = parts
    with pytest.raises(InputError, match="react alone, not identify"):
        next(Querying("llava", llm, sight).predictions(tmp_path / "1.mp4", [example("identify")]))


def test_a_backbone_is_asked_by_its_name(video_llava_folder, make_video):
    asked = system(f"query:{video_llava_folder}")
    assert isinstance(asked, Querying)
    assert (asked.name, asked.sight.frames) == (f"query:{video_llava_folder}", 8)
    asked.max_tokens = 3
    (said,) = asked.predictions(make_video("1.mp4", frames=24, rate_hz=12), [example()])
    assert said.system == asked.name
    with pytest.raises(WeightsError, match="nowhere: no such folder"):
        system("query:./nowhere")
