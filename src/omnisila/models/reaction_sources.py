"""How the streams that a reaction model reads are made of a video: ``features.json`` beside the tables of features."""

from collections.abc import Collection
from pathlib import Path

from pydantic import PositiveInt, ValidationError

from omnisila.config import Frozen
from omnisila.errors import DataSetError
from omnisila.files import write_atomically
from omnisila.models.probing import Pooling
from omnisila.scenes.reaction.config import ReactionFeatureConfig

SOURCES = "features.json"
POOLED, TEXT, TEMPLATES = "pooled-", "text-", "text-clip"  # beginnings of streams' names, and one whole name


class PooledSource(Frozen):
    """Which Video-LLM's tokens are pooled.

    Attributes:
        backbone: folder or hub id.
        frames: of a clip that it is shown.
        pooling: over which of its tokens.
    """

    backbone: str
    frames: PositiveInt
    pooling: Pooling


class StreamSources(Frozen):
    """The content of ``features.json``; what other programs made is None.

    Attributes:
        features: the networks that describe each frame.
        pooled: the Video-LLM of ``pooled-1`` and ``pooled-2``.
    """

    features: ReactionFeatureConfig | None = None
    pooled: PooledSource | None = None

    def of(self, streams: Collection[str]) -> "StreamSources":
        """Only what these streams are made by; None for features whose text was made by networks that are not named."""
        pooled = self.pooled if any(stream.startswith(POOLED) for stream in streams) else None
        read = {stream for stream in streams if not stream.startswith(POOLED)}
        return StreamSources(features=self._features_with_text_of(read) if read else None, pooled=pooled)

    def _features_with_text_of(self, streams: Collection[str]) -> ReactionFeatureConfig | None:
        known = self.features
        if known is None:
            return None
        if TEMPLATES in streams:
            return known.replace(text="templates") if known.clip and known.sentences else None
        if any(stream.startswith(TEXT) for stream in streams):
            return known.replace(text="descriptions") if known.sentences else None
        return known.replace(text="none")


def read_sources(folder: Path) -> StreamSources:
    """How a folder's tables were made; nothing is known where there is no ``features.json``.

    Raises:
        DataSetError: the file is damaged.
    """
    path = folder / SOURCES
    try:
        return StreamSources.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return StreamSources()
    except (OSError, ValidationError) as error:
        reason = str(error).splitlines()[0]
        raise DataSetError(f"{path}: not how tables were made ({reason}). Extract again, or delete it.") from error


def write_sources(folder: Path, sources: StreamSources) -> None:
    """Say how a folder's tables are made.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(folder / SOURCES, sources.model_dump_json(indent=2))
