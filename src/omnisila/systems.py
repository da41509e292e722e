"""What a system said of examples, as scoring takes it, whatever kind of file it was read from."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

from omnisila.schema import Example, Prediction


class SpanRow(NamedTuple):
    """A span before it is checked, as any system may have said it."""

    video: str
    label: str
    start_s: float
    end_s: float
    score: float = 1.0


Strays = Mapping[str, Sequence[SpanRow]]
NO_STRAYS: Strays = MappingProxyType({})


class System(NamedTuple):
    """A system and what it said about the examples.

    Attributes:
        strangers: videos or example ids in its file that no example is about.
        stale: how many answers are to another version of their example, and so left out.
        strays: spans that no prediction can hold, by label set: of strangers, or not running forward.
        unmentioned: videos that the file does not name.
    """

    name: str
    predictions: Sequence[Prediction]
    strangers: Sequence[str] = ()
    stale: int = 0
    strays: Strays = NO_STRAYS
    unmentioned: Sequence[str] = ()


def short_names(names: Iterable[str]) -> Mapping[str, str]:
    """What systems are called where people read it.

    A folder has its own name there, and a hub's id that of the model, with as many of those above as tell two apart.
    """
    folders: dict[str, list[str]] = {}
    for name in names:
        kind, colon, path = name.rpartition(":")
        folders[name] = [kind + colon, *path.rstrip("/").split("/")]
    kept = dict.fromkeys(folders, 1)
    while True:
        shown = {name: kind + "/".join(parts[-kept[name] :]) for name, (kind, *parts) in folders.items()}
        counts = Counter(shown.values())
        twice = [name for name in shown if counts[shown[name]] > 1 and kept[name] < len(folders[name]) - 1]
        if not twice:
            return shown
        for name in twice:
            kept[name] += 1


def window_ids(examples: Iterable[Example]) -> frozenset[str]:
    """The examples that ask about a window of their video, by id; the others ask about the whole of it.

    A window is numbered (``set/video#12``, also where it is a short video's only one), or it leaves out a part of what
    the examples of its video cover together. How long it lasts does not matter.
    """
    examples = tuple(examples)
    end_s: dict[str, float] = {}
    for example in examples:
        end_s[example.video] = max(end_s.get(example.video, 0.0), example.end_s)
    return frozenset(
        example.id
        for example in examples
        if example.id.rpartition("#")[2].isdecimal() or example.start_s > 0 or example.end_s < end_s[example.video]
    )
