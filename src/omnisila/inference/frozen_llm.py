"""A pretrained Video-LLM as it is, without adapters: it is asked about clips, describes them, or its tokens are pooled.

Source: emotional-reaction paper 4.1 to 4.3.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, Self

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from omnisila.devices import default_device
from omnisila.media.sampling import each_at, uniform_times
from omnisila.media.video import probe, sha256
from omnisila.models.backbone import SHOWN
from omnisila.models.kept_prompt import KeptPrompt
from omnisila.models.pretrained_llm import VideoBackboneConfig, usual_precision
from omnisila.models.probing import PROMPTS, Pooling, pooled_tokens
from omnisila.models.tokens import batch_prompts
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.scenes.extractor import Entities

Prompt = Literal["1", "2", "frames"]  # the paper's prompts of a clip, or each frame alone
TEXT_STREAMS: dict[Prompt, str] = {"1": "text-video-llava-1", "2": "text-video-llava-2", "frames": "text-llava"}
FRAME_PROMPT = PROMPTS[1].replace("video", "picture")  # the paper does not say how LLaVA was asked of single frames
FRAMES = SHOWN
SHOWN_RATE_HZ = 1.0  # 8 frames of a reaction of about ten seconds; for position ids that tell the time
ANSWER_TOKENS = 256
_BATCH = 8  # single frames that are described together


class FrozenLLM:
    """A Video-LLM that is shown stretches of videos.

    All methods raise ``MediaError`` where a video cannot be read.

    Args:
        frames: of a stretch, spread evenly, the first and the last among them; None for as many as the family's authors
            show, when they show them.
    """

    parallel = 1  # the model is on this machine

    def __init__(self, llm: TransformersVideoLLM, frames: int | None = FRAMES) -> None:
        self.llm, self.frames = llm, frames
        self._last: tuple[tuple[str, tuple[float, ...]], Entities, KeptPrompt] | None = None  # what was asked about

    @classmethod
    def load(cls, source: str, frames: int | None = FRAMES, device: torch.device | None = None) -> Self:
        """A Video-LLM from a folder or a hub id, on a GPU where there is one, in its ``usual_precision``.

        Args:
            source: of any family of ``models/backbones``.

        Raises:
            WeightsError: it is missing, damaged, or of another family.
        """
        device = device or default_device()
        config = VideoBackboneConfig(source=source, lora=None, precision=usual_precision(source, device))
        return cls(config.load(device, SHOWN_RATE_HZ), frames)

    @torch.inference_mode()
    def see(self, video: Path, span_s: tuple[float, float]) -> Entities:
        """Features of one stretch, from its start to its end in seconds."""
        return self._scene_inputs(video, self.times(video, span_s))

    def times(self, video: Path, span_s: tuple[float, float]) -> tuple[float, ...]:
        """When its frames of one stretch are, in seconds of the video."""
        if self.frames is not None:
            return self.times_s(video, span_s, self.frames)
        info = probe(video)
        return self.llm.backbone.shown_times(*span_s, info.rate_hz or SHOWN_RATE_HZ, info.holes)

    def ask(self, video: Path, span_s: tuple[float, float], prompt: str, max_tokens: int = ANSWER_TOKENS) -> str:
        """The greedy answer to a prompt about one stretch; further prompts about it read only what is new."""
        times_s = self.times(video, span_s)
        stretch = sha256(video), times_s
        if self._last is None or self._last[0] != stretch:
            self._last = stretch, self._scene_inputs(video, times_s), KeptPrompt(self.llm)
        _, visual, kept = self._last
        return self._answers(visual, prompt, max_tokens, times_s, kept)[0]

    @torch.inference_mode()
    def describe(self, video: Path, span_s: tuple[float, float], prompt: Prompt, count: int) -> str | tuple[str, ...]:
        """ViPER's text: what it writes of a clip, or of each of ``count`` frames. Source: paper 4.3."""
        if prompt != "frames":
            return self.ask(video, span_s, PROMPTS[int(prompt) - 1])
        batches: Iterator[Tensor] = iter(self.pictures(video, span_s, count).split(_BATCH))
        seen = (self.llm.backbone.encode(some.unsqueeze(1)) for some in batches)
        return tuple(text for visual in seen for text in self._answers(visual, FRAME_PROMPT, ANSWER_TOKENS))

    def pool(
        self, video: Path, span_s: tuple[float, float], prompt: str, pooling: Pooling = "sequence"
    ) -> Float[Tensor, "width"]:
        """A clip's pooled tokens, which a probe reads; ``prompt`` is one of ``models.probing.PROMPTS``."""
        return pooled_tokens(self.llm, self.see(video, span_s), prompt, pooling)[0].cpu()

    def pictures(self, video: Path, span_s: tuple[float, float], count: int) -> UInt8[Tensor, "frames height width 3"]:
        """So many frames of a stretch, equidistant, at the tower's size."""
        return self._pictures(video, self.times_s(video, span_s, count))

    @staticmethod
    def times_s(video: Path, span_s: tuple[float, float], count: int) -> tuple[float, ...]:
        """When these frames are, in seconds of the video."""
        return uniform_times(*span_s, count, ends=True, holes=probe(video).holes)

    def _pictures(self, video: Path, times_s: Sequence[float]) -> UInt8[Tensor, "frames height width 3"]:
        shown = {
            frame.time_s: self.llm.backbone.fit_frames(frame.image.unsqueeze(0))[0] for frame in each_at(video, times_s)
        }
        return torch.stack([shown[time_s] for time_s in times_s])

    @torch.inference_mode()
    def _scene_inputs(self, video: Path, times_s: Sequence[float]) -> Entities:
        return self.llm.backbone.encode(self._pictures(video, times_s).unsqueeze(0))

    @torch.inference_mode()
    def _answers(
        self,
        visual: Entities,
        prompt: str,
        max_tokens: int,
        times_s: Sequence[float] = (),
        kept: KeptPrompt | None = None,
    ) -> tuple[str, ...]:
        batch, frames = visual.values.shape[:2]
        tokens = batch_prompts([self.llm.prompt_ids(prompt, frames, 0, times_s)] * batch, self.llm.pad_id)
        tokens = tokens._replace(times_s=(tuple(times_s),) * batch if times_s else ())
        embeds = self.llm.embed(tokens.ids, visual)
        made = kept.generate(embeds, tokens, max_tokens) if kept else self.llm.generate(embeds, tokens, max_tokens, 1)
        return made.texts
