"""A fixed camera learnt from its ordinary footage, video by video; the file is whole after each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from omnisila.cameras.camera import Camera, CameraFacts
from omnisila.cameras.footage import WindowsKept, row
from omnisila.errors import InputError, MediaError
from omnisila.inference.analyzer import Analyzer
from omnisila.inference.batch import failure_reason
from omnisila.inference.fixed_camera import camera_facts
from omnisila.inference.inputs import Failure, Input
from omnisila.scenes.store import video_digest
from omnisila.schema import Span


class Learnt(NamedTuple):
    """How one video ended; ``seconds`` of it are ordinary."""

    input: Input
    state: Literal["learnt", "known", "failed"]
    seconds: float = 0.0
    reason: str | None = None


class CameraLearner:
    """Adds footage to a camera.

    Args:
        analyzer: whose model, label sets and features are used; it has no camera of its own.
        path: of the camera file. One that is there is added to.

    Raises:
        InputError: a file that is there is no camera, or one of another model.
    """

    def __init__(self, analyzer: Analyzer, path: Path) -> None:
        self.analyzer, self.path = analyzer, path
        self._facts: CameraFacts = camera_facts(analyzer.scorer, analyzer.window, analyzer.sem.config.digest)
        self.camera: Camera | None = None
        if path.exists():
            self.camera = Camera.load(path)
            self.camera.check(str(path), self._facts)
            if missing := [name for name in self.camera.facts.labels if name not in self._facts.labels]:
                raise InputError(
                    f"camera {path}: learnt for label sets {', '.join(self.camera.facts.labels)}. Learn more footage "
                    f"for all of them, with {', '.join(missing)} too."
                )

    def learn(
        self, inputs: Iterable[Input], events: Mapping[str, Sequence[Span]], tell: Callable[[Learnt], None]
    ) -> tuple[Failure, ...]:
        """Learn footage and write the camera after each video; a video that it knows is passed over.

        Args:
            events: by SHA-256 of a video, stretches that are none of the camera's ordinary footage. A known video of
                which other stretches were learnt is learnt again.
            tell: told how each video ended.

        Returns:
            The videos that could not be learnt, and why.

        Raises:
            OutputError: the camera file cannot be written.
        """
        failed: list[Failure] = []
        for item in inputs:
            try:
                ended = self._learn(item, events)
            except InputError as error:
                ended = Learnt(item, "failed", reason=failure_reason(item, error))
                failed.append(Failure(item.name, ended.reason or ""))
            tell(ended)
        return tuple(failed)

    def find_outdated(self, events: Mapping[str, Sequence[Span]]) -> tuple[Input, ...]:
        """The videos of which stretches were learnt that are none of its ordinary footage.

        Raises:
            InputError: one is no longer where it was.
        """
        known = self.camera.facts.videos if self.camera else ()
        found = [video for video in known if video.events != tuple(events.get(video.sha256, video.events))]
        for video in found:
            if not Path(video.path).is_file():
                raise InputError(
                    f"{video.path}: no longer there, but decisions accept events in it, which the camera learnt as "
                    "ordinary. Give the video again as FOOTAGE, wherever it is now."
                )
        return tuple(Input(Path(video.path), Path(video.path).name) for video in found)

    def _learn(self, item: Input, events: Mapping[str, Sequence[Span]]) -> Learnt:
        sha256 = video_digest(item.path)
        known = {video.sha256: video for video in self.camera.facts.videos} if self.camera else {}
        left_out = tuple(events.get(sha256, known[sha256].events if sha256 in known else ()))
        if sha256 in known and known[sha256].events == left_out:
            return Learnt(item, "known", known[sha256].seconds)
        extracted = self.analyzer.extract_features(item.path)
        info = extracted.info
        camera = self.camera or Camera(self._facts.replace(width_px=info.width_px, height_px=info.height_px), {})
        camera.check_picture(item.path, info.width_px, info.height_px)
        kept = WindowsKept(sha256)
        scored = self.analyzer.score_windows(extracted, passing=lambda windows: kept.passing(windows, left_out))
        if not scored.spans:
            raise MediaError(f"{item.path}: not one window of it could be decoded. Give footage that plays.")
        added = row(
            item.path,
            sha256,
            left_out,
            scored.spans,
            scored.posteriors,
            self.analyzer.run.record.labels,
            self.analyzer.scorer.calibrations,
            kept,
            self.analyzer.cache.shards(extracted),
            info.width_px / max(info.height_px, 1),
        )
        self.camera = camera.with_row(added)
        self.camera.save(self.path)
        return Learnt(item, "learnt", added.video.seconds)
