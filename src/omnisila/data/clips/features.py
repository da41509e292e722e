"""Scene features of every clip and its copies, extracted once and packed for training.

Each clip's features are one small file of ``scenes.store``, so that a killed extraction resumes. Training reads a pack:
the entity vectors of all clips in one table per scene, and windows that point into it. A held sample or a
repeated frame is stored once.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import TypeAdapter, ValidationError
from torch import Tensor

from omnisila.data.annotated import AnnotatedVideo
from omnisila.data.clips.augment import AugmentConfig, Augmenter
from omnisila.digests import digest
from omnisila.errors import OmnisilaError, RecordError
from omnisila.files import write_atomically
from omnisila.media.frames import Frame, Luma, LumaFrame
from omnisila.media.grid import on_grid
from omnisila.media.transforms import channels_first, resize
from omnisila.media.video import VideoReader
from omnisila.pace import Pace, Say
from omnisila.pool import Pool
from omnisila.scenes.extractor import Layout, SceneShard, SceneStream
from omnisila.scenes.profile import Profile, SceneModeling
from omnisila.scenes.sem import embedded_layouts
from omnisila.scenes.store import entry, pack, unpack, video_digest
from omnisila.scenes.windows import join_shards

LUMA_LONG_SIDE_PX = 160  # as VideoReader.with_luma gives them
_LAYOUTS = TypeAdapter(dict[str, Layout])
_SOURCE_RATE_HZ = 24.0  # at which a clip is read for copying; slower clips repeat frames and cost nothing


class Job(NamedTuple):
    """One file to extract: a clip's copy."""

    clip: AnnotatedVideo
    copy: int


class FeatureStore:
    """Where the features of a data root's clips lie.

    Args:
        folder: of the store; made when missing.
    """

    def __init__(self, root: Path, folder: Path, sem: Profile, augment: AugmentConfig) -> None:
        self.root, self.folder, self.sem, self.augment = root, folder, sem, augment

    def file(self, job: Job) -> Path:
        """Where a clip's copy lies; copy 0 does not depend on the augmentation.

        Raises:
            MediaError: the clip cannot be read.
        """
        clip, copy = job
        how = () if copy == 0 else (str(copy), clip.path, str(clip.is_still), self.augment.model_dump_json())
        path = entry(self.folder, video_digest(clip.file(self.root)), digest(self.sem.digest, *how))
        return path.with_name(f"{path.name}.safetensors")

    def missing(self, clips: Sequence[AnnotatedVideo], copies: Sequence[int]) -> list[Job]:
        """What is not extracted yet, or damaged, copy by copy."""
        return [job for job in (Job(clip, copy) for copy in copies for clip in clips) if not self._holds(job)]

    def _holds(self, job: Job) -> bool:
        try:
            unpack(self.file(job))
        except OmnisilaError:
            return False
        return True

    def shard(self, job: Job) -> SceneShard:
        """A clip's features.

        Raises:
            RecordError: they are missing or damaged.
            MediaError: the clip cannot be read.
        """
        try:
            tensors, facts = unpack(self.file(job))
            layouts = _LAYOUTS.validate_json(facts["layouts"]) if "layouts" in facts else embedded_layouts()
            streams = {name: _dense(name, tensors, float(facts[f"{name}_hz"])) for name in layouts}
            return SceneShard(0.0, float(facts["end_s"]), streams, layouts)
        except (RecordError, KeyError, ValidationError) as error:
            raise RecordError(f"{job.clip.path}: no features ({error}). Extract again.") from error

    def extract(self, job: Job, sem: SceneModeling, augmenter: Augmenter) -> None:
        """Extract one clip's copy, whatever stands there already.

        Raises:
            MediaError: the clip cannot be read.
            OutputError: the features cannot be written.
        """
        shard: SceneShard | None = None
        for part in sem.extract(luma_frames(job, self.root, sem.config, augmenter)):
            shard = part if shard is None else join_shards(shard, part)
        if shard is None:
            raise OmnisilaError(f"{job.clip.file(self.root)}: not a single frame. Fetch the data set again.")
        tensors: dict[str, Tensor] = {}
        facts = {"end_s": repr(shard.end_s)}
        if dict(shard.layouts) != embedded_layouts():  # the embedded profile's features lie there without
            facts["layouts"] = _LAYOUTS.dump_json(dict(shard.layouts)).decode()
        for name, stream in shard.streams.items():
            tensors[f"{name}.mask"] = stream.mask
            tensors[f"{name}.rows"] = stream.values[stream.mask].half().contiguous()
            facts[f"{name}_hz"] = repr(stream.rate_hz)
        write_atomically(self.file(job), pack(tensors, facts))


def _dense(name: str, tensors: dict[str, Tensor], rate_hz: float) -> SceneStream:
    mask, rows = tensors[f"{name}.mask"], tensors[f"{name}.rows"]
    values = torch.zeros(*mask.shape, rows.shape[1], dtype=rows.dtype)
    values[mask] = rows
    return SceneStream(0.0, rate_hz, values, mask)


def luma_frames(job: Job, root: Path, sem: Profile, augmenter: Augmenter) -> Iterator[LumaFrame]:
    """A clip's copy as the extractors read it.

    Copy 0 goes the way of any analysed file. A copied still shows one picture while the grey pictures, from which
    motion is read, shake with the camera: what the other extractors see would differ by less than a pixel.
    """
    clip, copy = job
    reader = VideoReader(clip.file(root))
    if copy == 0:
        yield from reader.with_luma(sem.rate_hz, sem.luma_per_frame, long_side_px=sem.long_side_px)
        return
    if clip.is_still:
        frames = augmenter.still(next(iter(reader)).image, clip.path, copy)
    else:
        frames = augmenter.clip(_distinct_frames(reader, sem), clip.path, copy)
    grid = on_grid(frames, sem.rate_hz * sem.luma_per_frame)
    image: Tensor | None = None
    waiting: tuple[Frame, list[Luma]] | None = None
    for step, (time_s, frame) in enumerate(grid):
        if step % sem.luma_per_frame == 0:
            if waiting is not None:
                yield LumaFrame(waiting[0], tuple(waiting[1]))
            image = image if clip.is_still and image is not None else frame.image
            waiting = Frame(time_s, image), []
        if waiting is not None and (not waiting[1] or waiting[1][-1].time_s != frame.time_s):
            waiting[1].append(Luma(frame.time_s, _grey(frame.image)))
    if waiting is not None:
        yield LumaFrame(waiting[0], tuple(waiting[1]))


def _distinct_frames(reader: VideoReader, sem: Profile) -> Iterator[Frame]:
    """A clip's frames without repetitions."""
    last: Tensor | None = None
    for frame in reader.at_rate(reader.info.rate_hz or _SOURCE_RATE_HZ, long_side_px=sem.long_side_px):
        if frame.image is not last:
            yield frame
        last = frame.image


def _grey(image: Tensor) -> Tensor:
    height_px, width_px = image.shape[:2]
    scale = min(LUMA_LONG_SIDE_PX / max(height_px, width_px), 1.0)
    small = resize(channels_first(image)[None], max(round(height_px * scale), 1), max(round(width_px * scale), 1))[0]
    weights = torch.tensor([0.299, 0.587, 0.114])
    return (small * weights[:, None, None]).sum(0).round().clamp(0, 255).to(torch.uint8)


def extract_all(
    store: FeatureStore,
    clips: Sequence[AnnotatedVideo],
    copies: Sequence[int],
    workers: int = 2,
    say: Say = lambda _: None,
) -> dict[Job, str]:
    """Extract what is missing, in processes of one thread each; a killed run resumes.

    Args:
        copies: their numbers; lower ones first.

    Returns:
        The clips that could not be extracted, and why; the others are.

    Raises:
        OmnisilaError: a process was killed from outside; what is done is kept.
    """
    jobs = store.missing(clips, copies)
    total = len(clips) * len(copies)
    before = total - len(jobs)
    failed: dict[Job, str] = {}
    pace = Pace(total)
    if before:
        say(f"features: resuming, {before} of {total} done")
    with Pool(_worker, (store,), workers, name=lambda job: f"copy {job.copy} of {job.clip.path}") as pool:
        for done, (number, reason) in enumerate(pool.results(jobs), before + 1):
            if reason is not None:
                failed[jobs[number]] = reason
            if pace.due(done):
                say(f"features: {pace.report(done)}")
    return failed


def _worker(store: FeatureStore) -> Callable[[Job], str | None]:
    """Loads the extractors; what it gives extracts one clip's copy and says why that failed, or None."""
    sem, augmenter = store.sem.build(), store.augment.build()

    def extract(job: Job) -> str | None:
        try:
            store.extract(job, sem, augmenter)
        except OmnisilaError as error:
            return str(error)
        return None

    return extract
