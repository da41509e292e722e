"""Training on questions and answers: L_lm and what the model adds, over examples in an order that a seed decides.

Source: Omni-SILA 3.4 and 4.3; both stages of the full model are this one.
"""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, UInt8
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor
from torch.utils.data import DataLoader

from omnisila.config import Config
from omnisila.errors import TrainingError
from omnisila.models.likelihood import language_loss
from omnisila.models.scene_model import SceneModel
from omnisila.models.tokens import IGNORED, batch_answers
from omnisila.models.transformers_llm import TransformersVideoLLM
from omnisila.models.video_llm import VideoLLM
from omnisila.scenes.extractor import SceneInputs, to_device
from omnisila.scenes.windows import stack
from omnisila.training.clip_source import Clip, ClipSource
from omnisila.training.parallel import ALONE, Parallel


class AnsweringConfig(Config):
    """How examples become batches.

    Attributes:
        part_size: examples that go through the model at once; the smaller, the less memory. The language loss is the
            same; a term over a batch (Hawkeye's L_bc, the release's focal loss) is the mean of the parts' own.
        workers: processes that decode frames, beside each training process.
    """

    batch_size: PositiveInt = 8  # Omni-SILA 4.3
    part_size: PositiveInt = 8
    epochs: PositiveInt = 3  # Omni-SILA 4.3
    workers: NonNegativeInt = 4

    def steps(self, examples: int) -> int:
        return self.epochs * -(-examples // self.batch_size)


class Part(NamedTuple):
    """Examples that go through the model together."""

    frames: UInt8[Tensor, "batch frames height width 3"]
    video_px: tuple[tuple[int, int], ...]
    seen: Bool[Tensor, "batch frames"]
    scenes: SceneInputs
    instructions: tuple[str, ...]
    answers: tuple[tuple[int, ...], ...]
    failures: tuple[str | None, ...]

    @property
    def answer_tokens(self) -> int:
        """How many tokens of answers count: those of examples whose pictures could be read."""
        return sum(len(ids) for ids, failure in zip(self.answers, self.failures, strict=True) if failure is None)


def part_of(clips: Sequence[Clip], llm: VideoLLM) -> Part:
    """Clips side by side."""
    return Part(
        torch.stack([clip.frames for clip in clips]),
        tuple(clip.video_px for clip in clips),
        torch.stack([clip.seen for clip in clips]),
        stack([clip.window for clip in clips]).scenes,
        tuple(clip.instruction for clip in clips),
        tuple(tuple(llm.answer_ids(clip.answer)) for clip in clips),
        tuple(clip.failure for clip in clips),
    )


def order(examples: int, config: AnsweringConfig, seed: int, parallel: Parallel) -> list[list[list[int]]]:
    """Which examples this process sees: for each step its parts.

    The batches are the same however many processes share them. An epoch's last batch is filled up from its start, so
    that all have one size and all processes one number of parts.

    Raises:
        TrainingError: no examples, or batches that cannot be shared evenly.
    """
    if not examples:
        raise TrainingError("no examples to train on. Choose another split, or prepare the data set again.")
    if config.batch_size % parallel.world:
        raise TrainingError(
            f"a batch of {config.batch_size} for {parallel.world} processes. Choose a size that they share evenly."
        )
    steps: list[list[list[int]]] = []
    for epoch in range(config.epochs):
        random = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
        shuffled = torch.randperm(examples, generator=random).tolist()
        for first in range(0, examples, config.batch_size):
            batch = [shuffled[place % examples] for place in range(first, first + config.batch_size)]
            mine = batch[parallel.rank :: parallel.world]
            size = config.part_size
            steps.append([mine[begin : begin + size] for begin in range(0, len(mine), size)])
    return steps


class Answering:
    """The losses of each step, for ``train``; frames of later steps are decoded meanwhile.

    Attributes:
        failures: how often each reason kept pictures from being read; the answers of such examples are not learnt.
    """

    def __init__(
        self, model: SceneModel, source: ClipSource, config: AnsweringConfig, seed: int = 0, parallel: Parallel = ALONE
    ) -> None:
        self.model, self.source, self.config, self.parallel = model, source, config, parallel
        assert isinstance(model.video_llm, TransformersVideoLLM)  # compact models have no tower
        self.llm = model.video_llm
        self.order = order(len(source), config, seed, parallel)
        self.failures: Counter[str] = Counter()
        self._coming: Iterator[list[Clip]] = iter(())
        self._next_step = -1

    def __call__(self, step: int, _: torch.Generator) -> Iterator[Float[Tensor, ""]]:
        with torch.autocast(self.parallel.device.type, enabled=False):  # cached features are float16, as they stay
            parts = [part_of(clips, self.llm) for clips in self._clips(step)]
        answer_tokens = max(self.parallel.total(sum(part.answer_tokens for part in parts)), 1.0)
        for part in parts:
            self.failures.update(failure for failure in part.failures if failure is not None)
            yield self._loss(part, answer_tokens)

    def _loss(self, part: Part, answer_tokens: float) -> Float[Tensor, ""]:
        """This part's share of the step's loss, times the processes, over which gradients are averaged."""
        device, llm = self.parallel.device, self.llm
        visual = self.llm.see(part.frames.to(device), part.seen, part.video_px)
        scenes = to_device(part.scenes, device)
        asked = batch_answers(self.model.prompts(part.instructions, scenes, visual), part.answers, llm.pad_id)
        read = torch.tensor([failure is None for failure in part.failures])
        targets = asked.targets.where(read.unsqueeze(1), torch.tensor(IGNORED))  # what was not seen cannot be learnt
        output = self.model(scenes, visual, asked.tokens)
        share = len(part.frames) / self.config.batch_size
        loss = language_loss(output.logits, targets, answer_tokens)
        return self.parallel.world * share * self.model.total_loss(loss / share, output.perception)

    def _clips(self, step: int) -> list[list[Clip]]:
        if step != self._next_step:
            rest = [places for parts in self.order[step:] for places in parts]
            workers = min(self.config.workers, os.cpu_count() or 1)  # more would be warned of
            own = torch.Generator()  # the step's randomness is the model's alone, whenever this begins
            self._coming = iter(
                DataLoader(self.source, batch_sampler=rest, collate_fn=list, num_workers=workers, generator=own)
            )
        self._next_step = step + 1
        return [next(self._coming) for _ in self.order[step]]
