"""The streams that reaction models read, made of a data set's clips: extractors' features, and a Video-LLM's own.

Each clip is done once and kept at once, so that a killed run goes on where it stood; a clip that cannot be read is
named, and costs no other. Tables hold half precision: what a model reads, at training and of any video after it, is
the number rounded to float16, never the one that a network gave.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import safetensors
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from omnisila.data.annotated import AnnotatedVideo
from omnisila.digests import digest
from omnisila.errors import DataSetError
from omnisila.files import write_atomically
from omnisila.inference.inputs import Failure
from omnisila.inference.querying import Sight, pooled_clip
from omnisila.media.video import probe
from omnisila.models.probing import PROMPTS, PooledLLM, Pooling
from omnisila.models.reaction import Stream
from omnisila.recipes.streams.clip_lists import Say, each_clip, nothing_read
from omnisila.training.reaction_tables import PooledStream, write_stream

Clips = Callable[[], Iterable[tuple[str, Mapping[str, Stream]]]]


def extracted_streams(folder: Path, streams: Mapping[str, str], kinds: Mapping[str, str], clips: Clips) -> None:
    """Tables of what extractors gave, one modality after the other, so that only one is held in memory.

    Args:
        folder: where the tables go.
        streams: modality -> the stream that its table is called by; text of each source has a name of its own.
        kinds: modality -> what its numbers are, as the extractor says.
        clips: called once a modality: ids with their modalities, from the extractors' cache.

    Raises:
        DataSetError: a clip twice, or features of different shapes.
        OutputError: a table cannot be written.
    """
    for modality, stream in streams.items():
        chosen = ((clip, found[modality]) for clip, found in clips())
        write_stream(folder / f"{stream}.safetensors", chosen, kinds[modality])


def pooled_streams(
    system: str,
    llm: PooledLLM,
    sight: Sight,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    folder: Path,
    pooling: Pooling = "sequence",
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """Tables ``pooled-1`` and ``pooled-2``: each clip's mean token under the paper's two prompts.

    Args:
        system: the Video-LLM's name; another name begins anew.
        llm: frozen.
        sight: through its own tower.
        videos: the clips.
        footage: the folder that they are in.
        folder: where the tables go; single clips are kept below ``parts/``.
        pooling: over which tokens.
        say: told what happens.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: not one clip could be read.
    """
    identity = digest(f"{system}/{sight.frames}/{pooling}")[:12]
    parts = {video.id: folder / "parts" / f"pooled-{identity}" / f"{video.id}.safetensors" for video in videos}

    def pool(video: AnnotatedVideo) -> None:
        if parts[video.id].exists():
            return
        path = footage / video.video
        span_s = (0.0, probe(path).duration_s)
        found = {
            str(number): pooled_clip(llm, sight, path, span_s, prompt, pooling)
            for number, prompt in enumerate(PROMPTS, 1)
        }
        write_atomically(parts[video.id], save(found))

    failed = each_clip(videos, pool, say)
    done = [video.id for video in videos if parts[video.id].exists()]
    if not done:
        raise nothing_read(footage, len(videos), failed[0].reason if failed else None)
    for number in range(1, len(PROMPTS) + 1):
        pooled = ((clip, PooledStream.of(_part(parts[clip], str(number)))) for clip in done)
        write_stream(folder / f"pooled-{number}.safetensors", pooled, f"{system}, {sight.frames} frames, {pooling}")
    return failed


def _part(path: Path, number: str) -> Float[Tensor, "width"]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.get_tensor(number).float()
    except (OSError, safetensors.SafetensorError) as error:
        raise DataSetError(f"{path}: damaged ({error}). Delete it and run again.") from error
