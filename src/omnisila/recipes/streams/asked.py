"""What a Video-LLM adds to the features of a data set's clips: its pooled tokens, and the texts that it writes.

Each clip is asked about once and its answer kept at once, so that a stopped run resumes; a clip that cannot be read is
named, and costs no other. Tables hold half precision: what a model reads, at training and of any video after it, is the
number rounded to float16, never the one that a network gave. Source: emotional-reaction paper 4.2, 4.3.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import safetensors
from jaxtyping import Float
from safetensors.torch import save
from torch import Tensor

from omnisila.config import Frozen
from omnisila.data.annotated import AnnotatedVideo
from omnisila.devices import default_device
from omnisila.digests import digest
from omnisila.errors import DataSetError
from omnisila.files import write_atomically
from omnisila.inference.frozen_llm import TEXT_STREAMS, FrozenLLM, Prompt
from omnisila.inference.inputs import Failure
from omnisila.media.video import probe
from omnisila.models.probing import PROMPTS, Pooling
from omnisila.models.reaction_sources import DescribedSource, PooledSource, read_sources, write_sources
from omnisila.pace import Say
from omnisila.recipes.streams.clip_lists import each_clip, nothing_read, write_clip_list
from omnisila.records import append, cut_half_line, records
from omnisila.scenes.reaction.clip import FRAMES, Modality
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.text import OF_DESCRIPTIONS, SentenceEncoder, encode_description
from omnisila.training.reaction_tables import write_stream
from omnisila.weights.checkpoint_files import locate_source


class Description(Frozen):
    """One line of ``descriptions-<prompt>.jsonl``: what a Video-LLM wrote of a clip, or of each of its frames."""

    clip: str
    system: str
    text: str | tuple[str, ...]


def pooled_features(
    source: PooledSource, videos: Sequence[AnnotatedVideo], footage: Path, out: Path, say: Say = lambda _: None
) -> tuple[Failure, ...]:
    """Tables ``pooled-1`` and ``pooled-2`` for the probing rows; ``failed-pooled.csv`` names what cannot be read.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: not one clip could be read.
        WeightsError: the Video-LLM is missing, or damaged.
        OutputError: a file cannot be written.
    """
    llm = FrozenLLM.load(source.backbone, source.frames)
    failed = pooled_streams(source.backbone, llm, videos, footage, out, source.pooling, say)
    write_clip_list(out / "failed-pooled.csv", "reason", failed)
    write_sources(out, read_sources(out).replace(pooled=source))
    return failed


def pooled_streams(
    system: str,
    llm: FrozenLLM,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    folder: Path,
    pooling: Pooling = "sequence",
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """Tables ``pooled-1`` and ``pooled-2``: each clip's mean token under the paper's two prompts.

    Args:
        system: the Video-LLM's name; another name begins anew.
        folder: where the tables go; single clips are kept below ``parts/``.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: not one clip could be read.
    """
    identity = digest(f"{system}/{llm.frames}/{pooling}")[:12]
    parts = {video.id: folder / "parts" / f"pooled-{identity}" / f"{video.id}.safetensors" for video in videos}

    def pool(video: AnnotatedVideo) -> None:
        if parts[video.id].exists():
            return
        path = footage / video.path
        span_s = (0.0, probe(path).duration_s)
        found = {str(number): llm.pool(path, span_s, prompt, pooling) for number, prompt in enumerate(PROMPTS, 1)}
        write_atomically(parts[video.id], save(found))

    failed = each_clip(videos, pool, say)
    done = [video.id for video in videos if parts[video.id].exists()]
    if not done:
        raise nothing_read(footage, len(videos), failed[0].reason if failed else None)
    for number in range(1, len(PROMPTS) + 1):
        pooled = ((clip, Modality.of_clip(_part(parts[clip], str(number)))) for clip in done)
        write_stream(folder / f"pooled-{number}.safetensors", pooled, f"{system}, {llm.frames} frames, {pooling}")
    return failed


def _part(path: Path, number: str) -> Float[Tensor, "width"]:
    try:
        with safetensors.safe_open(path, "pt") as file:
            return file.get_tensor(number).float()
    except (OSError, safetensors.SafetensorError) as error:
        raise DataSetError(f"{path}: damaged ({error}). Delete it and run again.") from error


def described_features(
    source: DescribedSource,
    prompt: Prompt,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    out: Path,
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """A table of texts: ``text-video-llava-1``, ``text-video-llava-2``, or ``text-llava`` of single frames.

    Beside it stand ``descriptions-<prompt>.jsonl`` and ``failed-descriptions-<prompt>.csv``.

    Args:
        prompt: the paper's prompt of the clip, or ``frames`` for each frame alone.

    Returns:
        The clips that could not be read, or of which nothing was said, with reasons; the latter are masked.

    Raises:
        DataSetError: not one clip is described, or the texts that stand there are another Video-LLM's.
        WeightsError: the Video-LLM or the encoder is missing, or damaged.
        OutputError: a file cannot be written.
    """
    known = read_sources(out)
    frames = known.features.frames if known.features else FRAMES
    device = default_device()
    encoder = SentenceEncoder.pretrained(locate_source(source.sentences), device)
    llm = FrozenLLM.load(source.backbone, source.frames, device)
    said = out / f"descriptions-{prompt}.jsonl"
    system = f"{source.backbone}, {source.frames} frames"
    failed = descriptions(system, llm, videos, footage, prompt, said, frames, say)
    if len(failed) == len(videos):
        raise nothing_read(footage, len(videos), failed[0].reason if failed else None)
    silent = description_stream(said, videos, encoder, out / f"{TEXT_STREAMS[prompt]}.safetensors", frames)
    failed = (*failed, *(Failure(clip, f"clip {clip}: the Video-LLM wrote nothing of it") for clip in silent))
    write_clip_list(out / f"failed-descriptions-{prompt}.csv", "reason", failed)
    made = ReactionFeatureConfig(text="descriptions", sentences=source.sentences).networks["text"]
    stream = TEXT_STREAMS[prompt]
    kept = {"described": {**known.described, stream: source}, "networks": {**known.networks, stream: made}}
    write_sources(out, known.replace(**kept))
    return failed


def descriptions(
    system: str,
    llm: FrozenLLM,
    videos: Sequence[AnnotatedVideo],
    footage: Path,
    prompt: Prompt,
    out: Path,
    frames: int = FRAMES,
    say: Say = lambda _: None,
) -> tuple[Failure, ...]:
    """What a Video-LLM writes of each clip, or of each frame: ViPER's text. Source: emotional-reaction paper 4.3.

    Args:
        frames: how many are described where each is.
        out: a ``Description`` a line; those that stand there are not asked for again.

    Returns:
        The clips that could not be read, with reasons.

    Raises:
        DataSetError: ``out`` holds another system's descriptions.
    """
    cut_half_line(out)
    before = list(records(out, Description)) if out.exists() else []
    if any(description.system != system for description in before):
        raise DataSetError(
            f"{out}: holds descriptions by {before[0].system}, not by {system}. Give another folder, or delete it."
        )
    done = {description.clip for description in before}

    def describe(video: AnnotatedVideo) -> None:
        path = footage / video.path
        span_s = (0.0, probe(path).duration_s)
        text = llm.describe(path, span_s, prompt, frames)
        append(out, [Description(clip=video.id, system=system, text=text)])

    return each_clip([video for video in videos if video.id not in done], describe, say)


def description_stream(
    descriptions: Path, videos: Sequence[AnnotatedVideo], encoder: SentenceEncoder, out: Path, frames: int = FRAMES
) -> tuple[str, ...]:
    """The table of a stream of text: each description as the encoder's vector, on every frame or on its own.

    Args:
        descriptions: as ``descriptions`` writes them.

    Returns:
        Clips of which nothing was said; they are masked.

    Raises:
        DataSetError: not one clip is described.
        InputError: descriptions of another number of frames.
    """
    wanted = {video.id for video in videos}
    silent: list[str] = []

    def clips() -> Iterator[tuple[str, Modality]]:
        for description in records(descriptions, Description):
            if description.clip in wanted:
                texts = (description.text,) if isinstance(description.text, str) else description.text
                if any(text.strip() for text in texts):
                    yield description.clip, encode_description(encoder, description.text, frames, description.clip)
                else:
                    silent.append(description.clip)
                    yield description.clip, Modality.absent(frames, encoder.width)

    write_stream(out, clips(), OF_DESCRIPTIONS)
    return tuple(silent)
