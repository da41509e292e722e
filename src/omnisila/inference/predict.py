"""``omnisila predict``: a system's answers to examples, one line each, in a file that a killed run goes on with."""

from collections.abc import Callable, Iterator
from itertools import groupby, islice
from pathlib import Path
from typing import NamedTuple

from omnisila.data.asked_examples import check_examples
from omnisila.errors import EndpointError, InputError, MediaError, OmnisilaError
from omnisila.files import write_atomically
from omnisila.inference.inputs import Failure
from omnisila.inference.systems import System
from omnisila.media.video import sha256
from omnisila.records import append, cut_half_line, records
from omnisila.schema import Example, Prediction

PORTION = 32  # answers that are written together
MOST_AT_ONCE = 512  # examples of one video held in memory; what is done of them is on the disk before the next


class Predicted(NamedTuple):
    """How a run ended.

    Attributes:
        answered: examples answered now.
        before: answered by an earlier run.
        unparsed: of those answered now, the answers that are not of the form that is read; they are kept as text.
        failed: videos that could not be, each with its reason.
        outdated: answers of an earlier run that were to another question or other footage, or to a window that is no
            longer asked about; they stand in ``outdated_file(out)`` now, and what is still asked was asked again.
    """

    answered: int
    before: int
    unparsed: int
    failed: tuple[Failure, ...]
    outdated: int


def outdated_file(out: Path) -> Path:
    """Where answers go that no longer belong to their examples: nothing that took hours is thrown away."""
    return out.with_suffix(".outdated.jsonl")


def predict(
    examples: Path,
    footage: Path,
    system: System,
    out: Path,
    split: str | None = None,
    on_video: Callable[[str, int], None] | None = None,
) -> Predicted:
    """Answer every example of a split that has no answer yet.

    An answer counts only when it was to the same question (``Example.digest``) about the same footage.

    Args:
        examples: an ``examples.jsonl``; examples of one video stand together, as ``prepare`` writes them.
        out: the ``predictions.jsonl``; answers are added to it.
        split: only these examples; None: all.
        on_video: told each video's name and how many of its examples are asked.

    Raises:
        RecordError: a line of either file is malformed.
        InputError: ``out`` holds another system's answers, or no example is of that split.
        OutputError: ``out`` cannot be written.
    """
    check_examples(examples, split)
    done, outdated = _read_answered(out, system.name, examples, footage)
    before, answered, unparsed = len(done), 0, 0
    failed: list[Failure] = []
    wanted = (example for example in records(examples, Example) if split in (None, example.split))
    for video, group in groupby(wanted, key=lambda example: example.video):
        missing = (example for example in group if example.id not in done)
        while some := list(islice(missing, MOST_AT_ONCE)):
            if on_video is not None:
                on_video(video, len(some))
            try:
                for part in _of_video(system, footage / video, some):
                    append(out, part)
                    answered += len(part)
                    unparsed += sum(not said.parse_ok for said in part)
            except EndpointError:  # no question can be asked any more
                raise
            except OmnisilaError as error:
                failed.append(Failure(video, str(error)))
                break
    return Predicted(answered, before, unparsed, tuple(failed), outdated)


def _of_video(system: System, video: Path, examples: list[Example]) -> Iterator[list[Prediction]]:
    """The answers in portions, each of which is written before the next is asked for."""
    if not video.is_file():
        raise InputError(f"{video}: no such video. Give the folder that the examples' videos are in.")
    footage = sha256(video)
    if any(example.video_sha256 not in (None, footage) for example in examples):
        raise InputError(
            f"{video}: not the footage that the examples were prepared from. Give its folder (of --subset s-s: "
            "footage/ beside the examples), or prepare the examples again."
        )
    digests = {example.id: example.digest for example in examples}
    answers = (
        prediction.replace(example_digest=digests[prediction.example_id], video_sha256=footage)
        for prediction in system.predictions(video, examples)
    )
    portion: list[Prediction] = []
    try:
        for answer in answers:
            portion.append(answer)
            if len(portion) == PORTION:
                yield portion
                portion = []
    except OmnisilaError:
        yield portion  # what was answered before is not asked again
        raise
    yield portion


def _read_answered(out: Path, name: str, examples: Path, footage: Path) -> tuple[set[str], int]:
    """The examples that the file answers already, and how many answers were taken out of it as outdated."""
    cut_half_line(out)
    said: dict[str, Prediction] = {}
    for prediction in records(out, Prediction) if out.exists() else ():
        if prediction.system != name:
            raise InputError(f"{out}: holds answers of {prediction.system}, not of {name}. Give another file.")
        said[prediction.example_id] = prediction
    answered: set[str] = set()
    changed: set[str] = set()
    sources: set[str] = set()  # what examples are about, as their ids say before their number or task
    for video, group in groupby(records(examples, Example) if said else (), key=lambda example: example.video):
        now: str | None = None
        for example in group:
            sources.add(example.id.rpartition("#")[0])
            item = said.get(example.id)
            if item is not None:
                now = now or _identity(footage / video)
                matches = item.example_digest == example.digest and now in (None, item.video_sha256)
                (answered if matches else changed).add(example.id)
    gone = {name for name in said.keys() - answered - changed if name.rpartition("#")[0] in sources - {""}}
    if changed | gone:
        append(outdated_file(out), (prediction for name, prediction in said.items() if name in changed | gone))
        kept = (prediction for name, prediction in said.items() if name not in changed | gone)
        write_atomically(out, "".join(prediction.model_dump_json() + "\n" for prediction in kept))
    return answered, len(changed | gone)


def _identity(video: Path) -> str | None:
    """The footage as it is now; None where it cannot be read, which says nothing against answers about it."""
    try:
        return sha256(video)
    except MediaError:
        return None
