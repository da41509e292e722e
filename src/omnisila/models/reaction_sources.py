"""How the streams that a reaction model reads are made of a video: ``features.json`` beside the tables of features."""

from collections.abc import Collection
from pathlib import Path

from pydantic import Field, PositiveInt, ValidationError

from omnisila.config import Frozen
from omnisila.errors import DataSetError
from omnisila.files import write_atomically
from omnisila.models.probing import Pooling
from omnisila.scenes.reaction.config import ReactionFeatureConfig, joined_digest

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


class DescribedSource(Frozen):
    """Which Video-LLM describes clips, and which encoder reads what it wrote.

    Attributes:
        backbone: folder or hub id.
        frames: that it is shown at once.
        sentences: RoBERTa, folder or hub id.
    """

    backbone: str
    frames: PositiveInt
    sentences: str


class StreamSources(Frozen):
    """The content of ``features.json``; what other programs made is None, or not there.

    Attributes:
        features: the networks that describe each frame.
        pooled: the Video-LLM of ``pooled-1`` and ``pooled-2``.
        described: stream of a Video-LLM's texts -> how it is made.
        networks: digests of what made the tables: ``frames``, and each stream of texts by its name; files of earlier
            versions have none.
    """

    features: ReactionFeatureConfig | None = None
    pooled: PooledSource | None = None
    described: dict[str, DescribedSource] = Field(default_factory=dict)
    networks: dict[str, str] = Field(default_factory=dict)

    def features_digest(self, streams: Collection[str]) -> str | None:
        """``networks_digest`` of the features when these tables were made of them; None where nobody kept it."""
        read = [stream for stream in streams if not stream.startswith(POOLED)]
        texts = [stream for stream in read if stream.startswith(TEXT)]
        if not read or not {"frames", *texts} <= self.networks.keys():
            return None
        text = {"text": self.networks[texts[0]]} if texts else {}
        return joined_digest({"frames": self.networks["frames"], **text})

    def of(self, streams: Collection[str]) -> "StreamSources":
        """Only what these streams are made by; None for features whose text was made by networks that are not named."""
        read = [stream for stream in streams if not stream.startswith(POOLED)]
        return StreamSources(
            features=self._features_with_text_of(read) if read else None,
            pooled=self.pooled if len(read) < len(streams) else None,
            described={stream: self.described[stream] for stream in read if stream in self.described},
            networks={name: self.networks[name] for name in ("frames", *read) if read and name in self.networks},
        )

    def _features_with_text_of(self, streams: Collection[str]) -> ReactionFeatureConfig | None:
        known = self.features
        text = next((stream for stream in streams if stream.startswith(TEXT)), None)
        if known is None or text is None:
            return known and known.replace(text="none")
        if text == TEMPLATES:
            return known.replace(text="templates") if known.clip and known.sentences else None
        if text in self.described:
            return known.replace(text="descriptions", sentences=self.described[text].sentences)
        return None


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
