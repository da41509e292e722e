"""Scene features on disk, so that no stage extracts twice and an hour needs no more memory than a minute.

One folder per video and extractor digest; in it one safetensors file per scene and shard, and ``video.json``, written
last, with what decoding found and the hash of each file. A folder without it, or with a damaged file, is extracted
again.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import Field, ValidationError
from safetensors.torch import load, load_file, save

from omnisila.config import Frozen
from omnisila.digests import digest, file_digest
from omnisila.files import path_text
from omnisila.media.video import VideoInfo, VideoReader, sha256
from omnisila.scenes.extractor import Layout, SceneShard, SceneStream
from omnisila.scenes.profile import SceneModeling
from omnisila.scenes.sem import embedded_layouts
from omnisila.scenes.store import Store, entry
from omnisila.scenes.windows import Window, WindowConfig, window_over
from omnisila.schema import Span

Progress = Callable[[float], None]  # gets the share of the video that is done, 0 to 1


class Extracted(Frozen):
    """What is known of a video whose features are cached.

    ``files`` are the SHA-256 of its feature files by name; ``seconds`` per stage, empty where nothing was extracted.
    ``path`` is where the video lies now, ``unkept`` the content of files that the disk did not take: these two are not
    written. Features of the embedded profile may lie there without ``layouts``, from before they were recorded.
    """

    sha256: str
    extractor_digest: str
    info: VideoInfo
    decoded_ratio: float
    warnings: tuple[str, ...]
    shards: tuple[tuple[float, float], ...]
    rates_hz: dict[str, float]
    files: dict[str, str]
    seconds: dict[str, float]
    layouts: dict[str, Layout] = Field(default_factory=embedded_layouts)
    path: Path = Field(default=Path(), exclude=True)
    unkept: dict[str, bytes] = Field(default_factory=dict, exclude=True, repr=False)

    @property
    def end_s(self) -> float:
        """How far the video is known."""
        return self.shards[-1][1] if self.shards else 0.0


class FeatureCache(Store):
    """Features of whole videos. What the disk does not take stays in memory with what is known of its video."""

    def ensure_features(self, path: Path, sem: SceneModeling, progress: Progress | None = None) -> Extracted:
        """Make sure that a video's features are there; what is known of it.

        Raises:
            MediaError: the video cannot be read.
        """
        video = sha256(path)
        known = self._find_known(video, sem.config.digest)
        if known is None:
            return self._extract(path, video, sem, progress)
        # the same video may lie in several places; what is cached came from one of them
        return known.replace(seconds={}, info=known.info.replace(path=path_text(path)), path=path)

    def shards(self, extracted: Extracted, within: Span | None = None) -> Iterator[SceneShard]:
        """The cached shards in time order, read one at a time; only those that touch ``within`` where it is given."""
        folder = self._folder(extracted.sha256, extracted.extractor_digest)
        for index, (start_s, end_s) in enumerate(extracted.shards):
            if within is not None and (end_s <= within.start_s or start_s >= within.end_s):
                continue
            streams: dict[str, SceneStream] = {}
            for name, rate_hz in extracted.rates_hz.items():
                file = _file_name(name, index)
                unkept = extracted.unkept.get(file)
                tensors = load_file(folder / file) if unkept is None else load(unkept)
                streams[name] = SceneStream(start_s, rate_hz, tensors["values"], tensors["mask"])
            yield SceneShard(start_s, end_s, streams, extracted.layouts)

    def window(self, extracted: Extracted, span: Span, config: WindowConfig) -> Window | None:
        """What shows a stretch of a video; None where the video ends before it begins."""
        return window_over(lambda reach: self.shards(extracted, reach), span, config, extracted.end_s)

    def holds(self, extracted: Extracted) -> bool:
        """Whether a video's features lie here, and not in another process's cache alone."""
        folder = self._folder(extracted.sha256, extracted.extractor_digest)
        return all(name in extracted.unkept or (folder / name).is_file() for name in extracted.files)

    def _folder(self, video_digest: str, extractor_digest: str) -> Path:
        return entry(self.root / "features", video_digest, extractor_digest)

    def _find_known(self, video_digest: str, extractor_digest: str) -> Extracted | None:
        folder = self._folder(video_digest, extractor_digest)
        try:
            known = Extracted.model_validate_json((folder / "video.json").read_bytes())
            whole = all(file_digest(folder / name) == wanted for name, wanted in known.files.items())
        except (OSError, ValidationError):
            return None
        return known if whole else None

    def _extract(self, path: Path, video_digest: str, sem: SceneModeling, progress: Progress | None) -> Extracted:
        reader = VideoReader(path)
        duration_s = max(reader.info.duration_s, 1e-3)
        config = sem.config
        folder = self._folder(video_digest, config.digest)
        frames = reader.with_luma(config.rate_hz, config.luma_per_frame, long_side_px=config.long_side_px)

        def report_shards() -> Iterator:
            for sample in frames:
                if progress is not None:
                    progress(min(sample.frame.time_s / duration_s, 1.0))
                yield sample

        spans: list[tuple[float, float]] = []
        rates: dict[str, float] = {}
        files: dict[str, str] = {}
        unkept: dict[str, bytes] = {}
        seconds: dict[str, float] = {}
        for index, shard in enumerate(sem.extract(report_shards(), seconds)):
            for name, stream in shard.streams.items():
                rates[name] = stream.rate_hz
                content = save({"values": stream.values.contiguous(), "mask": stream.mask.contiguous()})
                file = _file_name(name, index)
                if self.keep(folder / file, content) is not None:
                    unkept[file] = content
                files[file] = digest(content)
            spans.append((shard.start_s, shard.end_s))
        extracted = Extracted(
            sha256=video_digest, extractor_digest=config.digest, info=reader.info, decoded_ratio=reader.decoded_ratio,
            warnings=reader.warnings, shards=tuple(spans), rates_hz=rates, files=files, seconds=seconds,
            layouts=dict(sem.layouts), path=path, unkept=unkept,
        )  # fmt: skip
        if not unkept:
            self.keep(folder / "video.json", extracted.model_dump_json())
        return extracted


def _file_name(scene: str, index: int) -> str:
    return f"{scene}-{index:04}.safetensors"
