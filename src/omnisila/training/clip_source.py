"""Examples as a Video-LLM trains on them: a stretch's frames, its cached scene features, a question and its answer."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from omnisila.errors import MediaError, RecordError, TrainingError
from omnisila.media.sampling import frames_at
from omnisila.pace import Say
from omnisila.records import record
from omnisila.scenes.cache import Extracted, FeatureCache
from omnisila.scenes.profile import SceneModeling
from omnisila.scenes.windows import Window, WindowConfig
from omnisila.schema import Example, Span

Fitted = Callable[[UInt8[Tensor, "frames height width 3"]], UInt8[Tensor, "frames fitted_height fitted_width 3"]]


class ExampleFile:
    """Some of the examples of a file, read where it lies: a million take eight megabytes, not gigabytes.

    Args:
        path: as ``omnisila prepare`` writes it; must not change while this is in use.

    Attributes:
        videos: how many of the examples each video has.

    Raises:
        RecordError: the file cannot be read, or a line is no example.
    """

    def __init__(self, path: Path, wanted: Callable[[Example], bool]) -> None:
        self.path = path
        begins: list[int] = []
        self.videos: Counter[str] = Counter()
        at = 0
        try:
            with path.open("rb") as file:
                for number, line in enumerate(file, 1):
                    if line.strip():
                        example = record(path, number, line, Example)
                        if wanted(example):
                            begins.append(at)
                            self.videos[example.video] += 1
                    at += len(line)
        except OSError as error:
            raise RecordError(f"{path}: cannot be read ({error.strerror or error}). Give an examples.jsonl.") from None
        self._begins = np.array(begins, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._begins)

    def __getitem__(self, place: int) -> Example:
        with self.path.open("rb") as file:
            file.seek(int(self._begins[place]))
            return Example.model_validate_json(file.readline())


class Clip(NamedTuple):
    """One example with what it shows; ``failure`` says why its pictures could not be read, and then they are black.

    ``frames`` are at the tower's size, ``video_px`` is (height, width) that the video has itself.
    """

    frames: UInt8[Tensor, "frames height width 3"]
    video_px: tuple[int, int]
    seen: Bool[Tensor, "frames"]
    window: Window
    instruction: str
    answer: str
    failure: str | None


class Prepared(NamedTuple):
    """The videos whose features are at hand, and those that were left out, with the reason."""

    extracted: dict[str, Extracted]
    failed: dict[str, str]


def prepared_videos(
    videos: Sequence[str], footage: Path, sem: SceneModeling, cache: FeatureCache, say: Say = lambda _: None
) -> Prepared:
    """Be sure that each video's scene features are cached; one that cannot be read is left out and named."""
    extracted: dict[str, Extracted] = {}
    failed: dict[str, str] = {}
    for number, video in enumerate(videos, 1):
        try:
            extracted[video] = cache.ensure_features(footage / video, sem)
        except MediaError as error:
            failed[video] = str(error)
        say(f"scene features {number}/{len(videos)}: {failed.get(video, video)}")
    return Prepared(extracted, failed)


class ClipSource(Dataset[Clip]):
    """Examples by their place in a file, with frames decoded when they are asked for.

    Args:
        config: how many frames show an example, and how far apart.
        fitted: brings frames to the size that the visual tower reads.
    """

    def __init__(
        self,
        examples: ExampleFile,
        footage: Path,
        extracted: Mapping[str, Extracted],
        cache: FeatureCache,
        config: WindowConfig,
        fitted: Fitted,
    ) -> None:
        self.examples, self.footage, self.extracted, self.cache = examples, footage, extracted, cache
        self.config, self.fitted = config, fitted

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, place: int) -> Clip:
        example = self.examples[place]
        window = self.window(place)
        path = self.footage / example.video
        try:
            shown = [frame.image for frame in frames_at(path, window.times_s)]
            failure = None
        except MediaError as error:
            shown, failure = [torch.zeros(64, 64, 3, dtype=torch.uint8)] * self.config.frames, str(error)
        seen = window.visual.mask.any(-1) & (failure is None)
        frames, (height_px, width_px) = self.fitted(torch.stack(shown)), shown[0].shape[:2]
        return Clip(frames, (height_px, width_px), seen, window, example.instruction, example.answer, failure)

    def window(self, place: int) -> Window:
        """The scene features alone.

        Raises:
            TrainingError: the example's stretch lies outside its video.
        """
        example = self.examples[place]
        span = Span(start_s=example.start_s, end_s=example.end_s)
        extracted = self.extracted[example.video]
        window = self.cache.window(extracted, span, self.config)
        if window is None:
            raise TrainingError(
                f"example {example.id}: {span.start_s:g}-{span.end_s:g} s lies outside {example.video}. Prepare the "
                "examples again, with the footage."
            )
        return window
