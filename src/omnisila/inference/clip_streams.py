"""A stretch of a video as a reaction run's model reads it: features of its frames, sound and texts, or pooled tokens.

Source: emotional-reaction paper 4.2, 4.3 and 5.1.
"""

import time
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import torch

from omnisila.errors import InputError
from omnisila.inference.frozen_llm import TEXT_STREAMS, FrozenLLM, Prompt
from omnisila.models.probing import PROMPTS
from omnisila.models.reaction import ReactionBatch, stack_clips
from omnisila.models.reaction_run import ReactionRecord
from omnisila.models.reaction_sources import POOLED, TEMPLATES, PooledSource
from omnisila.scene_registry import MODALITIES
from omnisila.scenes.reaction.clip import Clip
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import ReactionCache, extract_clip
from omnisila.scenes.reaction.extractor import ReactionFeatureExtractor
from omnisila.schema import Span

FACE, _TEXT = "face", "text"
_LARGEST = torch.finfo(torch.float16).max  # tables of streams keep half precision


class ReadClip(NamedTuple):
    """One clip.

    Attributes:
        missing: modalities that no frame has, such as a face or sound.
        warnings: what is missing or doubtful, in plain words.
        seconds: stage -> seconds it took; empty where nothing had to be done.
    """

    batch: ReactionBatch
    missing: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    seconds: dict[str, float] = {}  # noqa: RUF012  # a NamedTuple's default, never changed

    @property
    def blind(self) -> bool:
        """Whether nothing of what the model reads is there."""
        return not any(bool(mask.any()) for mask in self.batch.masks.values())


def clip_streams(record: ReactionRecord, cache: ReactionCache) -> "FeatureStreams | PooledStreams":
    """What a run's record says of how its streams are made.

    Raises:
        InputError: it does not say, other programs made some of them, or the networks are not those of its training.
        WeightsError: a network of its features or its backbone is missing.
    """
    if record.pooled is not None:
        return PooledStreams(record, record.pooled)
    if record.features is not None:
        return FeatureStreams(record, record.features, cache)
    raise InputError(
        f"{record.name}: its run folder does not say how {', '.join(record.streams.values())} are made of a video; "
        "their tables came from other programs. Extract the streams with omnisila and train again."
    )


class FeatureStreams:
    """The modalities of ``ReactionFeatureExtractor``, from the cache where they are there.

    Raises:
        InputError: a modality came from other programs' tables, or the extractor makes other numbers than the model was
            trained on.
        WeightsError: a network is missing or damaged.
    """

    def __init__(self, record: ReactionRecord, config: ReactionFeatureConfig, cache: ReactionCache) -> None:
        _check_tables(record, config)
        _check_networks(record, config)
        self.record, self.cache = record, cache
        # what the model does not read is not made; the face's embedding tells whether there is a face
        made = tuple(name for name in MODALITIES if name in record.widths or name == FACE)
        self.config = config.replace(modalities=made, given={})
        stream = record.streams.get(_TEXT, "")
        self.described = record.described.get(stream)
        prompts: dict[str, Prompt] = {name: prompt for prompt, name in TEXT_STREAMS.items()}
        self.prompt: Prompt = prompts.get(stream, "frames")
        if self.described is not None and stream not in prompts:
            raise InputError(
                f"stream {stream!r}: nobody says what its texts were asked for; wanted "
                f"{', '.join(prompts)}. Extract one of these and train again."
            )

    @cached_property
    def describer(self) -> FrozenLLM:
        """The Video-LLM that wrote the texts of the training, loaded when the first clip is described."""
        assert self.described is not None  # asked only then
        return FrozenLLM.load(self.described.backbone, self.described.frames)

    @cached_property
    def extractor(self) -> ReactionFeatureExtractor:
        """Loaded when the first clip is read."""
        built = self.config.build()
        for name, width in self.record.widths.items():
            found = (built.widths.get(name), built.kinds.get(name))
            wanted = (width, self.record.kinds.get(name, found[1]))
            if found != wanted:
                raise InputError(
                    f"{self.record.name}: modality {name!r} is {found[0]} numbers of {found[1]}, but the model was "
                    f"trained on {wanted[0]} of {wanted[1]}. Train again on features of this version."
                )
        return built

    def read(self, video: Path, span: Span) -> ReadClip:
        """One stretch of a video; what is missing of it is masked.

        Raises:
            MediaError: it cannot be read.
        """
        extractor, seconds, clip = self.extractor, {}, Clip(video, span)
        if self.described is not None:
            began = time.perf_counter()
            text = self.describer.describe(video, (span.start_s, span.end_s), self.prompt, self.config.frames)
            lines = (text,) if isinstance(text, str) else text
            clip = Clip(video, span, text if any(line.strip() for line in lines) else None)
            seconds = {"description": time.perf_counter() - began}
        found = extract_clip(extractor.accept(clip), extractor, self.cache).features
        assert found is not None  # what fails raises
        batch = stack_clips([found.modalities], self.record.widths)
        missing = tuple(name for name in found.missing if name in self.config.modalities)
        return ReadClip(batch, missing, found.warnings, seconds | found.seconds)


class PooledStreams:
    """The pooled tokens of a frozen Video-LLM, which a probe reads.

    Raises:
        InputError: the record names no prompt of the paper.
    """

    def __init__(self, record: ReactionRecord, source: PooledSource) -> None:
        self.record, self.source = record, source
        ((self.modality, stream),) = record.streams.items()
        number = stream.removeprefix(POOLED)
        if number not in map(str, range(1, len(PROMPTS) + 1)):
            raise InputError(f"{record.name}: stream {stream!r}, wanted {POOLED}1 or {POOLED}2. Train the probe again.")
        self.prompt = PROMPTS[int(number) - 1]

    @cached_property
    def llm(self) -> FrozenLLM:
        """Loaded when the first clip is read."""
        return FrozenLLM.load(self.source.backbone, self.source.frames)

    def read(self, video: Path, span: Span) -> ReadClip:
        """One stretch of a video.

        Raises:
            MediaError: it cannot be read.
        """
        pooled = self.llm.pool(video, (span.start_s, span.end_s), self.prompt, self.source.pooling)
        pooled = pooled.clamp(-_LARGEST, _LARGEST).half().float()  # as the probe was trained on it
        mask = torch.ones(1, 1, dtype=torch.bool)
        return ReadClip(ReactionBatch({self.modality: pooled[None, None]}, {self.modality: mask}))


def _check_tables(record: ReactionRecord, config: ReactionFeatureConfig) -> None:
    """Refuse modalities that nothing of ours can make: they would be masked, which the model was not trained on."""
    templates = record.streams.get(_TEXT) == TEMPLATES  # other texts do not come from the tables of features
    given = [name for name in config.given if name in record.widths and (name != _TEXT or templates)]
    if given:
        raise InputError(
            f"{record.name}: {', '.join(given)} came from another program's tables, which no new video has, so this "
            "run can be scored (the predictions that omnisila train reaction wrote) but not shown one. Extract "
            f"{', '.join(given)} without --tables and train again, or choose a row without."
        )


def _check_networks(record: ReactionRecord, config: ReactionFeatureConfig) -> None:
    """Refuse networks with other content than those that made what the model was trained on."""
    if record.features_digest is None:
        return
    own = config.replace(given={name: width for name, width in config.given.items() if name != _TEXT})
    if (found := own.networks_digest) != record.features_digest:
        raise InputError(
            f"{record.name}: the networks that make its features have digest {found[:12]} here, but "
            f"{record.features_digest[:12]} when it was trained. Extract and train again, or use omnisila "
            f"{record.version} with the networks it was trained on."
        )
