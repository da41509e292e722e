"""What is told of clips while a data set is worked through: lines as they come, and lists of what was not right."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from omnisila.data.annotated import AnnotatedVideo
from omnisila.errors import DataSetError, OmnisilaError, OutputError
from omnisila.files import write_atomically
from omnisila.inference.inputs import Failure
from omnisila.pace import Pace, Say


def write_clip_list(path: Path, what: str, lines: Iterable[tuple[str, str]]) -> None:
    """A CSV file with a clip and what is said of it a line; where nothing is said, the header stands alone.

    Args:
        what: name of the second column.
        lines: a clip may stand there several times.

    Raises:
        OutputError: the file cannot be written.
    """
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([("clip", what), *lines])
    write_atomically(path, text.getvalue())


def each_clip(
    videos: Sequence[AnnotatedVideo], work: Callable[[AnnotatedVideo], None], say: Say
) -> tuple[Failure, ...]:
    """Work on one clip after the other; those that cannot be read are named with reasons, and cost no other.

    Raises:
        OutputError: a result cannot be written.
    """
    failed: list[Failure] = []
    pace = Pace(len(videos))
    for number, video in enumerate(videos, 1):
        try:
            work(video)
        except OutputError:
            raise  # no fault of the clip
        except OmnisilaError as error:
            failed.append(Failure(video.id, str(error)))
            say(f"{pace.report(number)}: {error}")
        else:
            say(f"{pace.report(number)}: {video.id}")
    return tuple(failed)


def nothing_read(footage: Path, clips: int, reason: str | None) -> DataSetError:
    """An error about a folder of which not one clip could be read, ready to be raised."""
    return DataSetError(
        f"{footage}: none of {clips} clips could be read ({reason or 'none is named'}). Give the folder that the clips "
        "are in."
    )
