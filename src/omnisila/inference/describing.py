"""Texts that a frozen Video-LLM writes of clips, each kind under the name of the stream that is made of it.

Source: emotional-reaction paper 4.3.
"""

from functools import cached_property
from pathlib import Path
from typing import Literal

from omnisila.errors import InputError
from omnisila.inference.frozen_backbone import FrozenBackbone, frozen_backbone
from omnisila.inference.querying import Sight, described_clip, described_frames
from omnisila.models.probing import PROMPTS
from omnisila.models.reaction_sources import DescribedSource
from omnisila.models.video_llm import VideoLLM
from omnisila.schema import Span

Prompt = Literal["1", "2", "frames"]  # the paper's prompts of a clip, or each frame alone
TEXT_STREAMS: dict[Prompt, str] = {"1": "text-video-llava-1", "2": "text-video-llava-2", "frames": "text-llava"}


def written_text(
    llm: VideoLLM, sight: Sight, video: Path, span_s: tuple[float, float], prompt: Prompt, frames: int
) -> str | tuple[str, ...]:
    """What a Video-LLM writes of a clip, or of each of its frames: ViPER's text.

    Args:
        span_s: where the clip begins and ends in its video.
        frames: how many are described where each is.

    Raises:
        MediaError: the video cannot be read.
    """
    if prompt == "frames":
        return described_frames(llm, sight, video, span_s, frames)
    return described_clip(llm, sight, video, span_s, PROMPTS[int(prompt) - 1])


class Describer:
    """Writes of new clips what a stream's texts were written of those that a model was trained on.

    Args:
        stream: one of ``TEXT_STREAMS``.
        source: the Video-LLM.
        frames: of a clip.

    Raises:
        InputError: no such stream.
    """

    def __init__(self, stream: str, source: DescribedSource, frames: int) -> None:
        prompts: dict[str, Prompt] = {name: prompt for prompt, name in TEXT_STREAMS.items()}
        if stream not in prompts:
            raise InputError(
                f"stream {stream!r}: nobody says what its texts were asked for; wanted {', '.join(prompts)}. Extract "
                "one of these and train again."
            )
        self.source, self.frames = source, frames
        self.prompt: Prompt = prompts[stream]

    @cached_property
    def parts(self) -> FrozenBackbone:
        """The frozen model and what it sees, loaded when the first clip is described."""
        return frozen_backbone(self.source.backbone, self.source.frames)

    def text(self, video: Path, span: Span) -> str | tuple[str, ...] | None:
        """Of one stretch of a video; None where the model writes nothing.

        Raises:
            MediaError: the video cannot be read.
            WeightsError: the Video-LLM is not there, or damaged.
        """
        llm, sight = self.parts
        said = written_text(llm, sight, video, (span.start_s, span.end_s), self.prompt, self.frames)
        lines = (said,) if isinstance(said, str) else said
        return said if any(line.strip() for line in lines) else None
