"""What a profile of scene extractors must offer, so that no caller cares which one it is.

There are two: ``scenes.sem`` with the embedded networks, ``scenes.full`` with the paper's.
"""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Protocol, Self, runtime_checkable

from omnisila.media.frames import LumaFrame
from omnisila.scenes.extractor import Layouts, SceneShard


@runtime_checkable
class Profile(Protocol):
    """The extractors' configuration: small, frozen, part of a run's record."""

    @property
    def rate_hz(self) -> float:
        """Frames per second that the extractors are given."""
        ...

    @property
    def luma_per_frame(self) -> int:
        """Grey pictures per frame, from which motion is read."""
        ...

    @property
    def long_side_px(self) -> int:
        """Frames are scaled down to this, never up."""
        ...

    @property
    def chunk_frames(self) -> int:
        """Frames that are looked at together."""
        ...

    @property
    def shard_s(self) -> float:
        """How long a shard is at most."""
        ...

    @property
    def digest(self) -> str:
        """SHA-256 of everything that decides a feature: the key of cached features."""
        ...

    def at_rate(self, rate_hz: float) -> Self:
        """The same extractors on another grid of frames."""
        ...

    def build(self) -> "SceneModeling":
        """The extractors with their weights."""
        ...


@runtime_checkable
class SceneModeling(Protocol):
    """The scene extractors of a profile. Source: Omni-SILA 3.1."""

    @property
    def config(self) -> Profile:
        """What they were built from."""
        ...

    @property
    def layouts(self) -> Layouts:
        """What each number of each stream means."""
        ...

    def extract(self, frames: Iterable[LumaFrame], seconds: dict[str, float] | None = None) -> Iterator[SceneShard]:
        """Shards of a video in time order; frames are taken as they are needed.

        Args:
            frames: at ``config.rate_hz``, from time 0, as ``VideoReader.with_luma`` gives them.
            seconds: filled with the seconds spent per stage.
        """
        ...


class LoadedWhenNeeded:
    """The extractors of a profile, loaded when the first video has to be looked at: cached features need none."""

    def __init__(self, profile: Profile) -> None:
        self.config = profile

    @cached_property
    def loaded(self) -> SceneModeling:
        """The extractors themselves."""
        return self.config.build()

    def unload(self) -> None:
        """Give their memory back; they are loaded again when they are needed again."""
        self.__dict__.pop("loaded", None)

    @property
    def layouts(self) -> Layouts:
        return self.loaded.layouts

    def extract(self, frames: Iterable[LumaFrame], seconds: dict[str, float] | None = None) -> Iterator[SceneShard]:
        return self.loaded.extract(frames, seconds)
