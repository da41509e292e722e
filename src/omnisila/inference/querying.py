"""Querying: a Video-LLM is asked for seven scores in the paper's words. Source: emotional-reaction paper 4.1."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from omnisila.data.instructions import REACT_QUESTION
from omnisila.errors import InputError
from omnisila.inference.stated_intensities import stated_intensities
from omnisila.media.sampling import frames_at, uniform_times
from omnisila.media.video import probe
from omnisila.models.probing import PROMPTS, PooledLLM, Pooling, pooled_tokens
from omnisila.models.tokens import prompted
from omnisila.models.video_llm import VideoLLM
from omnisila.models.visual_tower import VisualTower
from omnisila.scenes.extractor import Entities
from omnisila.schema import Example, Prediction

FRAME_PROMPT = PROMPTS[1].replace("video", "picture")  # the paper does not say how LLaVA was asked of single frames
VIDEO_LLM_FRAMES = 8  # Video-LLaVA's own number: 32 frames of its 257 patches would not fit what it reads
_BATCH = 8  # single frames that are described together


class Sight:
    """A clip as a frozen Video-LLM sees it: frames spread evenly over it, the first and the last among them.

    Args:
        tower: the model's own.
        frames: how many.
    """

    def __init__(self, tower: VisualTower, frames: int = VIDEO_LLM_FRAMES) -> None:
        self.tower, self.frames = tower, frames

    @torch.inference_mode()
    def seen(self, video: Path, start_s: float, end_s: float) -> Entities:
        """Features of one stretch of a video.

        Raises:
            MediaError: the video cannot be read.
        """
        return self.tower.encode(self._pictures(video, start_s, end_s, self.frames).unsqueeze(0))

    @torch.inference_mode()
    def each_seen(self, video: Path, start_s: float, end_s: float, count: int) -> Iterator[Entities]:
        """Features of single frames of a stretch, in batches of a few; the first and the last are among them.

        Raises:
            MediaError: the video cannot be read.
        """
        for some in self._pictures(video, start_s, end_s, count).split(_BATCH):
            yield self.tower.encode(some.unsqueeze(1))

    def _pictures(
        self, video: Path, start_s: float, end_s: float, count: int
    ) -> UInt8[Tensor, "frames height width 3"]:
        shown = frames_at(video, uniform_times(start_s, end_s, count, ends=True, holes=probe(video).holes))
        return self.tower.fitted(torch.stack([frame.image for frame in shown]))


class Querying:
    """A system that answers examples of ``react`` by asking a Video-LLM for the seven scores.

    What the model says is kept; emotions for which it states no single score are absent from ``intensities``, and an
    answer that states none is not parsed. What is absent is imputed where scores are made, and counted there.

    Args:
        name: what its predictions carry.
        llm: frozen.
        sight: through the model's own tower.
        max_tokens: longest answer.
    """

    def __init__(self, name: str, llm: VideoLLM, sight: Sight, max_tokens: int = 256) -> None:
        self.name, self.llm, self.sight, self.max_tokens = name, llm, sight, max_tokens

    def predictions(self, video: Path, examples: Sequence[Example]) -> Iterator[Prediction]:
        """One prediction an example.

        Raises:
            InputError: an example of another task.
            MediaError: the video cannot be read.
        """
        for example in examples:
            if example.task != "react":
                raise InputError(f"{example.id}: {self.name} answers react alone, not {example.task}.")
            began = time.perf_counter()
            answer = self._answer(video, example)
            found = stated_intensities(answer)
            yield Prediction(
                example_id=example.id,
                system=self.name,
                answer=answer,
                intensities=found or None,
                parse_ok=bool(found),
                seconds=time.perf_counter() - began,
            )

    def _answer(self, video: Path, example: Example) -> str:
        span_s = example.start_s, example.end_s
        return described_clip(self.llm, self.sight, video, span_s, REACT_QUESTION, self.max_tokens)


@torch.inference_mode()
def described_clip(
    llm: VideoLLM, sight: Sight, video: Path, span_s: tuple[float, float], prompt: str, max_tokens: int = 256
) -> str:
    """What a frozen Video-LLM answers to a prompt about a clip, greedily.

    Raises:
        MediaError: the video cannot be read.
    """
    return _said(llm, sight.seen(video, *span_s), prompt, max_tokens)[0]


@torch.inference_mode()
def described_frames(
    llm: VideoLLM, sight: Sight, video: Path, span_s: tuple[float, float], count: int, max_tokens: int = 256
) -> tuple[str, ...]:
    """What a frozen Video-LLM answers of each of a clip's frames alone. Source: emotional-reaction paper 4.3.

    Args:
        count: how many frames, equidistant.

    Raises:
        MediaError: the video cannot be read.
    """
    seen = sight.each_seen(video, *span_s, count)
    return tuple(text for visual in seen for text in _said(llm, visual, FRAME_PROMPT, max_tokens))


def _said(llm: VideoLLM, visual: Entities, prompt: str, max_tokens: int) -> tuple[str, ...]:
    """Greedy answers to one prompt about each of a batch."""
    batch, frames = visual.values.shape[:2]
    tokens = prompted([llm.prompt_ids(prompt, frames, 0)] * batch, llm.pad_id)
    return llm.generate(llm.embed(tokens.ids, visual), tokens, max_tokens, 1).texts


def pooled_clip(
    llm: PooledLLM, sight: Sight, video: Path, span_s: tuple[float, float], prompt: str, pooling: Pooling = "sequence"
) -> Float[Tensor, "width"]:
    """A clip's pooled tokens: what a probe reads.

    Args:
        span_s: where the clip begins and ends in its video.
        prompt: one of ``omnisila.models.probing.PROMPTS``.

    Raises:
        MediaError: the video cannot be read.
    """
    return pooled_tokens(llm, sight.seen(video, *span_s), prompt, pooling)[0].cpu()
