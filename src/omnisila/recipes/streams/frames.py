"""Features of a data set's clips, frame by frame: from videos to the tables that reaction models are trained on.

Source: emotional-reaction paper 4.3, 5.1.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from pydantic import Field, ValidationError

from omnisila.config import Frozen, first_fault
from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import InputError, check_known, unknown
from omnisila.models.reaction_sources import TEMPLATES, read_sources, write_sources
from omnisila.pace import Pace, Say
from omnisila.recipes.fields import read_fields
from omnisila.recipes.streams.clip_lists import nothing_read, write_clip_list
from omnisila.scene_registry import MODALITIES
from omnisila.scenes.reaction.clip import FRAMES, Clip, Modality
from omnisila.scenes.reaction.config import ReactionFeatureConfig
from omnisila.scenes.reaction.extracting import (
    Outcome,
    ReactionCache,
    Tally,
    extract,
    extract_apart,
    load_features,
    tally,
)
from omnisila.scenes.reaction.tables import ACTION_UNIT_WIDTH, table_width
from omnisila.training.reaction_tables import write_stream

FAILED, NOTES = "failed-frames.csv", "notes-frames.csv"
NETWORKS = {"embedded": ReactionFeatureConfig.embedded, "paper": ReactionFeatureConfig.paper}
Tables = Mapping[str, Path]  # modality -> folder with a table ``<id>.csv`` a clip
ClipStreams = Callable[[], Iterable[tuple[str, Mapping[str, Modality]]]]  # ids with their modalities


class Place(Frozen):
    """Where a data set's clips and their features are.

    Args:
        tables: modality -> folder with what another program measured, ``<id>.csv`` a clip.
    """

    footage: Path
    tables: dict[str, Path] = Field(default_factory=dict)
    out: Path


class _Done(NamedTuple):
    clip: str
    file: Path


def chosen_networks(name: str, face: str | None, tables: Tables) -> ReactionFeatureConfig:
    """The networks by a profile's name, or with the fields that a JSON file gives; tables replace networks.

    Args:
        name: ``embedded``, ``paper``, or a JSON file with fields of ``ReactionFeatureConfig``.
        face: ResNet trained on faces, where the file names none.
        tables: modality -> folder.

    Raises:
        InputError: no such profile, a file that is none, a folder without tables, no such modality, or another number
            of frames than models read.
        RecordError: a table of no known form.
    """
    if name in NETWORKS:
        config = NETWORKS[name]()
    elif Path(name).suffix == ".json":
        config = _from_file(Path(name))
    else:
        raise InputError(f"{unknown('profile', name, NETWORKS).rstrip('.')}; or give a JSON file.")
    check_known("modality", tables, MODALITIES)
    if config.frames != FRAMES:
        raise InputError(f"{name}: frames is {config.frames}; reaction models read {FRAMES} a clip. Leave frames out.")
    given = {modality: _width(modality, folder) for modality, folder in tables.items()}
    return config.replace(given=given, **({"face": face} if face is not None else {}))


def frame_streams(
    config: ReactionFeatureConfig,
    videos: Sequence[AnnotatedVideo],
    place: Place,
    cache: ReactionCache,
    workers: int = 1,
    say: Say = lambda _: None,
) -> Tally:
    """Tables ``visual``, ``audio``, ``fau``, ``face`` and, with templates, ``text-clip``.

    Each clip is kept in the cache at once, so that a killed run goes on where it stood. What is not right with a clip
    stands in ``failed-frames.csv`` and ``notes-frames.csv``, and is counted in what is returned.

    Args:
        workers: processes; with several each has one thread.

    Raises:
        DataSetError: not one clip could be read.
        WeightsError: a network is missing.
        OutputError: a file cannot be written.
    """
    extractor = config.build()
    done: list[_Done] = []
    failed: list[tuple[str, str]] = []
    notes: list[tuple[str, str]] = []

    def report_outcomes() -> Iterator[Outcome]:
        clips = [_clip(video, place) for video in videos]
        pace: Pace | None = None
        outcomes = (
            extract(clips, extractor, cache) if workers == 1 else extract_apart(clips, config, cache.root, workers)
        )
        for number, (video, outcome) in enumerate(zip(videos, outcomes, strict=True), 1):
            if outcome.features is None or outcome.file is None:
                failed.append((video.id, outcome.reason or ""))
            else:
                done.append(_Done(video.id, outcome.file))
                notes.extend((video.id, note) for note in _notes(outcome, config))
            # clips from the cache cost no time: the pace begins with the first that does
            if pace is None and outcome.state != "known":
                pace = Pace(len(videos))
                if number > 1:
                    say(f"resuming, {number - 1} of {len(videos)} clips done")
            far = f"{number} of {len(videos)}" if pace is None else pace.report(number)
            say(f"{far}: {outcome.reason or _outcome_text(video.id, outcome, config)}")
            yield outcome

    counted = tally(report_outcomes())
    write_clip_list(place.out / FAILED, "reason", failed)
    write_clip_list(place.out / NOTES, "note", notes)
    if not done:
        raise nothing_read(place.footage, len(videos), failed[0][1] if failed else None)
    streams = {name: TEMPLATES if name == "text" else name for name in _wanted_modalities(config)}
    extracted_streams(
        place.out,
        streams,
        extractor.kinds,
        lambda: ((record.clip, load_features(record.file).modalities) for record in done),
    )
    known, made = read_sources(place.out), config.networks
    networks = {**known.networks, "frames": made["frames"], **({TEMPLATES: made["text"]} if "text" in made else {})}
    write_sources(place.out, known.replace(features=config, networks=networks))
    return counted._replace(missing={name: counted.missing.get(name, 0) for name in streams})


def extracted_streams(folder: Path, streams: Mapping[str, str], kinds: Mapping[str, str], clips: ClipStreams) -> None:
    """Tables of what extractors gave, one modality after the other, so that only one is held in memory.

    Args:
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


def _from_file(path: Path) -> ReactionFeatureConfig:
    try:
        return ReactionFeatureConfig.model_validate(read_fields(path, "networks"))
    except ValidationError as error:
        raise InputError(f"{path}: {first_fault(error, ReactionFeatureConfig.model_fields)}") from error


def _width(modality: str, folder: Path) -> int:
    first = min(folder.glob("*.csv"), default=None)
    if first is None:
        raise InputError(f"{folder}: no tables of {modality}. Give a folder with <id>.csv for each clip.")
    width = table_width(first)
    return max(width, ACTION_UNIT_WIDTH) if modality == "fau" else width


def _clip(video: AnnotatedVideo, place: Place) -> Clip:
    tables = {name: folder / f"{video.id}.csv" for name, folder in place.tables.items()}
    there = {name: path for name, path in tables.items() if path.is_file()}
    return Clip(place.footage / video.path, tables=there)


def _wanted_modalities(config: ReactionFeatureConfig) -> tuple[str, ...]:
    """The modalities that make a table; what is not made, and text that nobody writes, makes none."""
    written = config.text == "templates" or "text" in config.given
    return tuple(name for name in MODALITIES if name in config.modalities and (name != "text" or written))


def _notes(outcome: Outcome, config: ReactionFeatureConfig) -> Iterable[str]:
    if outcome.features is None:
        return []
    wanted = _wanted_modalities(config)
    return [*(f"missing: {name}" for name in outcome.features.missing if name in wanted), *outcome.features.warnings]


def _outcome_text(name: str, outcome: Outcome, config: ReactionFeatureConfig) -> str:
    notes = _notes(outcome, config)
    return f"{name}, {outcome.state}" + (f" ({'; '.join(notes)})" if notes else "")
