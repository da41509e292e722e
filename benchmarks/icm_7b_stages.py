"""What is measured of the full model, stage by stage, through the code that users run."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

import av
import numpy as np
import torch
from av.video.frame import VideoFrame

from benchmarks.icm_7b_networks import TINY, TRUE, Shapes, language_side
from omnisila.data.instructions import Instruction, render_instruction, render_label
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.chat import Chat
from omnisila.inference.scoring import PRETRAINED_BATCH_WINDOWS
from omnisila.inference.seeing import window_reader
from omnisila.labels import IMPLICIT
from omnisila.models.checkpoint import Run
from omnisila.models.lora import set_gradient_checkpointing
from omnisila.recipes.rows.icm import FullICM
from omnisila.records import append
from omnisila.scene_registry import SCENES
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.windows import windows
from omnisila.schema import Example, Span
from omnisila.spans import LabelledSpan
from omnisila.training.answering import Answering, AnsweringConfig
from omnisila.training.clip_source import ClipSource, ExampleFile
from omnisila.training.loop import StepReport, train
from omnisila.training.parallel import Parallel

TURNS: dict[Literal["identify", "locate", "attribute"], int] = {
    "identify": 8,
    "locate": 32,
    "attribute": 96,
}  # most tokens of an answer
CAUSE = " ".join(3 * ["A man pushes another to the ground and kicks him while a woman runs away along the street."])


class Size(NamedTuple):
    """What is measured: networks, the drawn video, findings that get a cause, and training."""

    shapes: Shapes
    width_px: int
    height_px: int
    rate_hz: int
    seconds: int
    findings: int
    steps: int
    workers: int


FULL = Size(TRUE, 1920, 1080, 30, 60, findings=2, steps=14, workers=8)
TOY = Size(TINY, 160, 96, 12, 3, findings=1, steps=3, workers=0)
UNMEASURED_STEPS = 2  # the first ones fill caches and wait for the first frames


class Clock:
    """Seconds and the accelerator's peak memory of each stage."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds: dict[str, float] = {}
        self.peak_gib: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
        began = time.perf_counter()
        yield
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
            self.peak_gib[name] = round(torch.cuda.max_memory_allocated(self.device) / 2**30, 2)
        self.seconds[name] = time.perf_counter() - began


def drawn_video(path: Path, size: Size) -> Path:
    """A camera that pans over a blurred texture, as H.264."""
    noise = np.random.default_rng(0).integers(0, 256, (size.height_px // 4, size.width_px // 4, 3), dtype=np.uint8)
    texture = np.tile(noise.repeat(8, 0).repeat(8, 1), (1, 2, 1))
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=size.rate_hz, options={"preset": "veryfast", "crf": "23"})
        stream.width, stream.height, stream.pix_fmt = size.width_px, size.height_px, "yuv420p"
        for index in range(size.seconds * size.rate_hz):
            top, left = index % size.height_px, 2 * index % size.width_px
            picture = texture[top : top + size.height_px, left : left + size.width_px]
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, size.rate_hz)
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


def analysed(analyzer: Analyzer, video: Path, findings: int, clock: Clock) -> Extracted:
    """A video from file to findings with causes, stage by stage."""
    with clock.stage("features"):
        extracted = analyzer.extract_features(video)
    clock.seconds |= {f"features/{name}": seconds for name, seconds in extracted.seconds.items()}
    with clock.stage("locate"):
        analyzer.score_windows(extracted)
    with clock.stage("attribute"):
        length_s = extracted.info.duration_s / findings
        for number in range(findings):
            span = Span(start_s=number * length_s, end_s=(number + 1) * length_s)
            found = LabelledSpan(span, IMPLICIT.labels[0], 0.9)
            even = dict.fromkeys(SCENES, 1 / len(SCENES))
            analyzer.attribute_span(IMPLICIT.name, found, even, extracted)
    clock.seconds["file to findings"] = sum(clock.seconds[name] for name in ("features", "locate", "attribute"))
    with clock.stage("locate/pictures"):  # once more, alone
        see = window_reader(analyzer.run, video)
        cut = windows(analyzer.cache.shards(extracted), analyzer.window, extracted.info.duration_s)
        while batch := list(islice(cut, PRETRAINED_BATCH_WINDOWS)):
            see(batch)
    return extracted


def chatted(run: Run, video: Path, cache: FeatureCache, clock: Clock) -> None:
    """The three questions about a whole video whose features are at hand."""
    with clock.stage("chat/open"):
        chat = Chat(run, video, cache)
    label = IMPLICIT.labels[0]
    for task, most in TURNS.items():
        asked = Instruction(task, IMPLICIT, label if task == "attribute" else None)
        with clock.stage(f"chat/{task}"):
            chat.ask(render_instruction(asked), most)
    clock.seconds["chat"] = sum(clock.seconds[f"chat/{task}"] for task in TURNS)


def trained(
    run: Run, recipe: FullICM, video: Path, extracted: Extracted, cache: FeatureCache, size: Size, clock: Clock
) -> dict[str, float]:
    """Task tuning on one-second clips of the video; clips per second once it is under way, and tokens of a clip."""
    config = AnsweringConfig(epochs=1, workers=size.workers)
    examples = training_examples(video.name, int(extracted.info.duration_s), size.steps * config.batch_size)
    path = video.with_name("examples.jsonl")
    append(path, examples)
    llm = language_side(run)
    frames = recipe.window.frames
    questions, known = ExampleFile(path, lambda _: True), {video.name: extracted}
    source = ClipSource(questions, video.parent, known, cache, recipe.window, llm.backbone.fit_frames)
    ended: list[float] = []

    def on_step(_: StepReport) -> None:
        ended.append(time.perf_counter())  # its loss has been read, so the device is done

    set_gradient_checkpointing(llm.model, recipe.gradient_checkpointing)
    losses = Answering(run.model, source, config, parallel=Parallel(device=run.device))
    with clock.stage("training"):
        train(run.model, losses, recipe.loop.replace(steps=size.steps), None, on_step)
    if losses.failures:
        raise SystemExit(f"clips could not be read: {losses.failures}")
    measured = len(ended) - UNMEASURED_STEPS
    clips_s = measured * config.batch_size / (ended[-1] - ended[UNMEASURED_STEPS - 1])
    lengths = [len(llm.prompt_ids(one.instruction, frames)) + len(llm.answer_ids(one.answer)) for one in examples]
    answers = [len(llm.answer_ids(one.answer)) for one in examples]
    return {
        "clips_per_second": clips_s,
        "tokens_per_clip": float(np.mean(lengths)),
        "answer_tokens_per_clip": float(np.mean(answers)),
    }


def training_examples(video: str, seconds: int, count: int) -> list[Example]:
    """One-second clips, of which every second is asked for its cause."""
    examples: list[Example] = []
    for number in range(count):
        task: Literal["identify", "attribute"] = ("identify", "attribute")[number % 2]
        label = IMPLICIT.labels[0]
        examples.append(
            Example(
                id=str(number),
                video=video,
                start_s=number % seconds,
                end_s=number % seconds + 1,
                task=task,
                labels=IMPLICIT.name,
                instruction=render_instruction(Instruction(task, IMPLICIT, label if task == "attribute" else None)),
                answer=CAUSE if task == "attribute" else render_label(label),
                split="train",
                group="drawn",
            )
        )
    return examples
