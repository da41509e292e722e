"""A Video-LLM behind an OpenAI-compatible endpoint: it is asked in words, or its choice between letters is weighed."""

from collections.abc import Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import NamedTuple, Self

import numpy as np
from jaxtyping import Float

from omnisila.data.instructions import render_choices
from omnisila.endpoint import Endpoint, Estimate
from omnisila.endpoint.weighing import MOST_LISTED
from omnisila.errors import InputError, OmnisilaError
from omnisila.inference.frozen_llm import ANSWER_TOKENS, FRAMES, FrozenLLM
from omnisila.inference.run_folders import OPENAI, QUERY
from omnisila.inference.settings import AnalyzerConfig
from omnisila.labels import LabelSet
from omnisila.media.clips import cut, jpeg
from omnisila.media.sampling import frames_at

PICTURE_PX = 512  # long side of a frame that is sent
CLIP_BYTES = 20_000_000  # of a stretch that is sent as a video
TOKENS_PER_PICTURE, TOKENS_PER_QUESTION, TOKENS_PER_ANSWER = 255, 150, 60  # counted in estimates; models differ


class Shown(NamedTuple):
    """A stretch as it is sent: what is said of its times, and pictures or a video."""

    told: str
    images: tuple[bytes, ...] = ()
    video: bytes | None = None


class EndpointLLM:
    """A model behind an endpoint, which is sent frames as pictures with their true times in words, or a video.

    Args:
        send_video: as an mp4 file, for servers that take ``video_url``; they choose its frames.
    """

    def __init__(self, endpoint: Endpoint, frames: int = FRAMES, send_video: bool = False) -> None:
        self.endpoint, self.frames, self.send_video = endpoint, frames, send_video
        self.parallel = endpoint.config.parallel

    @classmethod
    def of_settings(cls, name: str, settings: AnalyzerConfig) -> Self:
        """The model of that name at the settings' address.

        Raises:
            InputError: no address, no key, or no client.
        """
        return cls(settings.endpoint(name).build(), send_video=settings.send_video)

    def ask(self, video: Path, span_s: tuple[float, float], prompt: str, max_tokens: int = ANSWER_TOKENS) -> str:
        # the endpoint's own limit of tokens holds
        shown = self.show(video, span_s, FrozenLLM.times_s(video, span_s, self.frames))
        return self.endpoint.ask(f"{shown.told}\n{prompt}", shown.images, shown.video).text

    def weigh(self, labels: LabelSet, shown: Shown, before: str = "") -> Float[np.ndarray, "labels"]:
        """How likely the answer is to begin with each label's letter.

        Raises:
            InputError: more labels than an endpoint gives log-probabilities for.
            OmnisilaError: no answer, or one without log-probabilities that can be believed.
        """
        if fault := too_many(labels):
            raise InputError(f"{fault}. Ask in words, with --model {QUERY}{OPENAI}{self.endpoint.config.model}.")
        prompt, letters = f"{shown.told}\n{before}{render_choices(labels)}", ascii_uppercase[: len(labels.labels)]
        weights, fault = self.endpoint.weigh(prompt, letters, shown.images, shown.video)
        if fault:
            config = self.endpoint.config
            raise OmnisilaError(
                f"{config.model} at {config.server}: {fault}. It did before; ask it in words ({QUERY}{OPENAI}NAME)."
            )
        return np.array([weights[letter] for letter in letters])

    def show(self, video: Path, span_s: tuple[float, float], times_s: Sequence[float]) -> Shown:
        """A stretch as it is sent.

        Args:
            times_s: of its frames, where they are sent as pictures.

        Raises:
            MediaError: the video cannot be read.
        """
        if self.send_video:
            told = (
                f"The video is a stretch of a longer one: its first picture is at {span_s[0]:.2f}s. Count from there."
            )
            clip = cut(video, *span_s, CLIP_BYTES)
            return Shown(told if span_s[0] > 0 else "Watch the video.", video=clip)
        pictures = (jpeg(frame.image, long_side_px=PICTURE_PX) for frame in frames_at(video, times_s))
        return Shown(pictures_told(times_s), tuple(pictures))


def too_many(labels: LabelSet) -> str:
    """Why the labels of a set cannot be weighed; "" where they can."""
    count = len(labels.labels)
    return f"{labels.name} has {count} labels, of which {MOST_LISTED} can be weighed" if count > MOST_LISTED else ""


def pictures_told(times_s: Sequence[float]) -> str:
    return f"The pictures are frames of a video, at {', '.join(f'{time_s:.2f}s' for time_s in times_s)}."


def estimate(weighed: int, asked: int, settings: AnalyzerConfig) -> Estimate:
    """What questions about stretches will take; how many tokens a video has in place of pictures is not known.

    Args:
        weighed: questions whose answer is one letter.
        asked: questions in words.
    """
    requests = weighed + asked
    pictures = 0 if settings.send_video else requests * FRAMES
    read = pictures * TOKENS_PER_PICTURE + requests * TOKENS_PER_QUESTION
    return settings.requests.estimate(requests, read, weighed + asked * TOKENS_PER_ANSWER, pictures)
