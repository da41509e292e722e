"""Places365: pictures of 365 kinds of places; the kind is what scene tuning says of the background.

Address: http://places2.csail.mit.edu (Zhou et al., TPAMI 2018)
Licence: the pictures for non-commercial research and education; the lists are MIT.
A record of places365_train_standard.txt:
    /a/airfield/00000001.jpg 0
and of categories_places365.txt, which names that number:
    /a/airfield 0
The training list has 1.8 million pictures, the papers use 200,000 of two sets together: ``PER_PLACE`` of each kind are
taken, spread evenly over the list. Paths are those of the "easy format": train/airfield/... and val/...
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, Described, Split
from omnisila.data.annotation_files import Row, read_words
from omnisila.data.sets import DataSet

PER_PLACE = 300
CATEGORIES = "categories_places365.txt"
LISTS: dict[str, Split] = {"places365_train_standard.txt": "train", "places365_val.txt": "val"}
FORM = "lines of a path and a number, such as '/a/airfield/00000001.jpg 0'"


def read(folder: Path) -> AnnotatedSet:
    """The chosen pictures of the lists that are there, at least one of them."""
    places = {number: _words(path) for _, path, number in _pairs(folder / CATEGORIES)}
    lists = [name for name in LISTS if (folder / name).is_file()] or [next(iter(LISTS))]
    described = [item for name in lists for item in _describe_pictures(folder / name, LISTS[name], places)]
    return AnnotatedSet(described=tuple(described))


def _describe_pictures(path: Path, split: Split, places: dict[int, str]) -> Iterator[Described]:
    pictures: defaultdict[int, list[str]] = defaultdict(list)
    for row, name, number in _pairs(path):
        if number not in places:
            raise row.error(f"category {number}", f"one of the {len(places)} numbers of {CATEGORIES}")
        pictures[number].append(name)
    for number, names in sorted(pictures.items()):
        count = min(PER_PLACE, len(names))
        for name in (names[index * len(names) // count] for index in range(count)):
            source = f"{split}/{_plain(name)}"
            yield Described(
                id=source, source=source, medium="image", scene="background", text=places[number], split=split,
                group=source,
            )  # fmt: skip


def _pairs(path: Path) -> Iterator[tuple[Row, str, int]]:
    for row, words in read_words(path, FORM):
        if len(words) != 2 or not words[1].isdecimal() or ".." in words[0].split("/"):
            raise row.error(f"{' '.join(words)!r}", FORM)
        yield row, words[0], int(words[1])


def _plain(name: str) -> str:
    """``/a/airfield/1.jpg`` without its letter; names of the validation list have none."""
    parts = name.strip("/").split("/")
    return "/".join(parts[1:] if len(parts) > 1 and len(parts[0]) == 1 else parts)


def _words(place: str) -> str:
    """``/a/apartment_building/outdoor`` as words: apartment building, outdoor."""
    return ", ".join(_plain(place).replace("_", " ").split("/"))


SET = DataSet(read, untrained="its descriptions tune scenes (prepare scene-tuning) and hold no label")
