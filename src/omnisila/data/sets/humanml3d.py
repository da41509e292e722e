"""HumanML3D: captions of human motions, as scene tuning's actions. There is no footage: skeletons are drawn instead.

Address: https://github.com/EricGuo5513/HumanML3D (Guo et al., CVPR 2022)
Licence: MIT for texts and scripts; the motions are AMASS's and HumanAct12's, for non-commercial research.
A record of texts/012314.txt (caption # tokens with parts of speech # start # end, both 0 for the whole motion):
    a person walks in a circle.#a/DET person/NOUN walk/VERB in/ADP a/DET circle/NOUN#0.0#0.0
Beside it ``new_joints/012314.npy`` of shape (frames, 22, 3) in metres at 20 frames a second, and the lists of ids
train.txt, val.txt and test.txt. An id with a leading M is its mirror image and of the same group.
``data/preparation/skeletons.py`` draws the joints.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from omnisila.data.annotated import AnnotatedSet, Described, Malformed, Split
from omnisila.data.annotation_files import read_text, read_words
from omnisila.data.sets import DataSet
from omnisila.errors import DataSetError

SPLITS: tuple[Split, ...] = ("train", "val", "test")
FORM = "caption#tokens#start#end"
JOINTS = "new_joints/{}.npy"
LIST_FORM = "one motion id a line"


def read(folder: Path) -> AnnotatedSet:
    """The captions of all motions whose joints are there."""
    from omnisila.data.preparation.skeletons import RATE_HZ, count_frames  # loads torch and libav

    lists: list[Split] = [split for split in SPLITS if (folder / f"{split}.txt").is_file()]
    if not lists:
        raise DataSetError(f"{folder}: no train.txt, val.txt or test.txt. Wanted: {LIST_FORM}. Put them there.")
    described: list[Described] = []
    malformed: list[Malformed] = []
    for split in lists:
        for row, words in read_words(folder / f"{split}.txt", LIST_FORM):
            if len(words) != 1 or "/" in words[0] or words[0].startswith("."):
                raise row.error(f"{' '.join(words)!r}", LIST_FORM)
            try:
                duration_s = count_frames(folder / JOINTS.format(words[0])) / RATE_HZ
            except DataSetError as error:
                malformed.append(Malformed(file=row.table.name, line=row.line, reason=str(error)))
                continue
            for item in _captions(folder, words[0], split, duration_s):
                (described if isinstance(item, Described) else malformed).append(item)  # type: ignore[arg-type]
    return AnnotatedSet(described=tuple(described), malformed=tuple(malformed))


def _captions(folder: Path, motion: str, split: Split, duration_s: float) -> Iterator[Described | Malformed]:
    path = folder / "texts" / f"{motion}.txt"
    for number, line in enumerate(read_text(path, f"lines of {FORM}").splitlines(), start=1):
        if not line.strip():
            continue
        parts = line.split("#")
        times_s = _times_s(parts, duration_s)
        if times_s is None:
            reason = f"{line!r} is not {FORM}, with times within {duration_s:g} s"
            yield Malformed(file=f"texts/{path.name}", line=number, reason=reason)
        else:
            yield Described(
                id=f"{motion}-{number}", source=JOINTS.format(motion), medium="motion", scene="action",
                text=parts[0].strip(), start_s=times_s[0], end_s=times_s[1], split=split,
                group=motion.removeprefix("M"),
            )  # fmt: skip


def _times_s(parts: list[str], duration_s: float) -> tuple[float, float] | None:
    if len(parts) != 4 or not parts[0].strip():
        return None
    try:
        start_s, end_s = float(parts[2]), float(parts[3])
    except ValueError:
        return None
    # the published files write the times of some whole motions as nan
    if (start_s, end_s) == (0.0, 0.0) or (math.isnan(start_s) and math.isnan(end_s)):
        return 0.0, duration_s
    end_s = min(end_s, duration_s)
    return (start_s, end_s) if 0 <= start_s < end_s else None


SET = DataSet(read, untrained="its descriptions tune scenes (prepare scene-tuning) and hold no label")
