"""Label sets as data: a name, its labels, which are negative, which one means nothing to report, and the prompts.

Source: Omni-SILA 4.1 (implicit, explicit), Hawkeye 4.1 (anomaly), emotional-reaction paper section 3 (reaction).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, model_validator

from omnisila.config import Frozen, first_fault
from omnisila.errors import LabelError, unknown

# What a statement about a stretch of video is a sign of; statements of no kind speak for no label.
Sign = Literal[
    "happy face", "angry face", "sad face", "fearful face", "disgusted face",
    "several people", "people together", "person lying", "raised arm", "fast arms", "fast person",
    "vehicle", "fast vehicle", "boat", "bag", "weapon", "animal", "much movement", "flames",
]  # fmt: skip


class LabelSet(Frozen):
    """A closed set of labels that one instruction asks about.

    ``quiet`` is the label of time with nothing to report (Normal, neutral): it never becomes a finding, and the
    anomaly curve is one minus its probability. Reaction intensities have no such label. ``published`` holds the words
    by which published files of the set call some labels.

    ``descriptions`` say in a line what a label means, to a model that was not trained on it. ``signs`` say which
    statements may be given as a label's cause (decision D14).
    """

    name: str
    labels: tuple[str, ...]
    negative: tuple[str, ...]
    quiet: str | None
    identify: str
    locate: str
    attribute: str
    published: dict[str, str] = Field(default_factory=dict)
    descriptions: dict[str, str] = Field(default_factory=dict)
    signs: dict[str, tuple[Sign, ...]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _labels_agree(self) -> "LabelSet":
        if len(set(self.labels)) != len(self.labels):
            raise ValueError(f"label set {self.name}: a label stands twice in {self.labels}")
        strangers = {*self.negative, *self.signs, *self.descriptions, *([self.quiet] if self.quiet else [])} - set(
            self.labels
        )
        if strangers:
            raise ValueError(f"label set {self.name}: {sorted(strangers)} are not among its labels {self.labels}")
        return self

    @property
    def reportable(self) -> tuple[str, ...]:
        """The labels that may become findings: all but the quiet one."""
        return tuple(label for label in self.labels if label != self.quiet)

    def find_label(self, word: str) -> str | None:
        """The label that a published file means by a word, or None."""
        label = self.published.get(word, word)
        return label if label in self.labels else None


_VIOLENCE: tuple[Sign, ...] = (
    "people together", "person lying", "raised arm", "fast arms", "fast person", "much movement", "weapon",
    "angry face", "fearful face",
)  # fmt: skip
_ROBBERY: tuple[Sign, ...] = ("weapon", "people together", "raised arm", "fast person", "bag", "fearful face")
_THEFT: tuple[Sign, ...] = ("bag",)
_TRAFFIC: tuple[Sign, ...] = ("vehicle", "fast vehicle", "person lying")

IMPLICIT = LabelSet(
    name="implicit",
    labels=(
        "Fighting", "Animals Hurting People", "Water Incidents", "Vandalism", "Traffic Accidents", "Robbery", "Theft",
        "Traffic Violations", "Fire", "Pedestrian Incidents", "Forbidden to Burn", "Normal",
    ),
    negative=(
        "Fighting", "Animals Hurting People", "Water Incidents", "Vandalism", "Traffic Accidents", "Robbery", "Theft",
        "Traffic Violations", "Fire", "Pedestrian Incidents", "Forbidden to Burn",
    ),
    quiet="Normal",
    identify="Which event does this video show?",
    locate="When does the event happen in this video?",
    attribute="Why does this video show {label}?",
    signs={
        "Fighting": (*_VIOLENCE, "several people"),
        "Animals Hurting People": ("animal", "person lying", "fast person", "fearful face"),
        "Water Incidents": ("boat", "raised arm", "fearful face"),
        "Vandalism": ("weapon", "raised arm", "fast arms"),
        "Traffic Accidents": _TRAFFIC,
        "Robbery": _ROBBERY,
        "Theft": _THEFT,
        "Traffic Violations": ("vehicle", "fast vehicle"),
        "Fire": ("flames",),
        "Pedestrian Incidents": _TRAFFIC,
        "Forbidden to Burn": ("flames",),
    },
)  # fmt: skip

EXPLICIT = LabelSet(
    name="explicit",
    labels=("positive", "neutral", "negative"),
    negative=("negative",),
    quiet="neutral",
    identify="Which sentiment does this video convey?",
    locate="When is the sentiment conveyed in this video?",
    attribute="Why does this video convey {label} sentiment?",
    published={"p": "positive", "n": "negative"},  # TSL-300
    signs={
        "positive": ("happy face",),
        "negative": ("angry face", "sad face", "fearful face", "disgusted face"),
    },
)

ANOMALY = LabelSet(
    name="anomaly",
    labels=(
        "Abuse", "Arrest", "Arson", "Assault", "Accident", "Burglary", "Explosion", "Fighting", "Robbery", "Shooting",
        "Stealing", "Shoplifting", "Vandalism", "Normal",
    ),
    negative=(
        "Abuse", "Arrest", "Arson", "Assault", "Accident", "Burglary", "Explosion", "Fighting", "Robbery", "Shooting",
        "Stealing", "Shoplifting", "Vandalism",
    ),
    quiet="Normal",
    identify="Which anomaly does this video show?",
    locate="Locate the timestamps when implicit anomalous sentiments are present.",
    attribute="Why does this video show {label}?",
    published={"RoadAccidents": "Accident"},  # UCF-Crime
    signs={
        "Abuse": _VIOLENCE,
        "Arrest": ("people together", "person lying", "raised arm", "fast person"),
        "Arson": ("flames",),
        "Assault": _VIOLENCE,
        "Accident": _TRAFFIC,
        "Burglary": _THEFT,
        "Explosion": ("flames", "much movement", "fast person", "person lying"),
        "Fighting": (*_VIOLENCE, "several people"),
        "Robbery": _ROBBERY,
        "Shooting": ("weapon", "person lying", "fast person", "fearful face"),
        "Stealing": _THEFT,
        "Shoplifting": _THEFT,
        "Vandalism": ("weapon", "raised arm", "fast arms"),
    },
)  # fmt: skip

REACTION = LabelSet(
    name="reaction",
    labels=("Adoration", "Amusement", "Anxiety", "Disgust", "Empathic Pain", "Fear", "Surprise"),
    negative=("Anxiety", "Disgust", "Empathic Pain", "Fear"),
    quiet=None,
    identify="How intense is each emotional reaction in this video?",
    locate="When is the emotional reaction strongest in this video?",
    attribute="Why does this video show {label}?",
)

BUILT_IN = {label_set.name: label_set for label_set in (IMPLICIT, EXPLICIT, ANOMALY, REACTION)}


LABEL_SETS = dict(BUILT_IN)  # with those that were read from files
FILES = (".yaml", ".yml", ".json")  # how the name of a label set's file ends
_ASKED = {
    "identify": "Which label of the set {name} does this video show?",
    "locate": "When does a label of the set {name} apply in this video?",
    "attribute": "Why does this video show {label}?",
}


def label_set(name: str) -> LabelSet:
    """The label set of that name.

    Raises:
        LabelError: no such set; the message lists those there are.
    """
    try:
        return LABEL_SETS[name]
    except KeyError:
        raise LabelError(unknown("label set", name, LABEL_SETS)) from None


def check_label_sets(names: Sequence[str]) -> None:
    """Whether all of the names are those of label sets.

    Raises:
        LabelError: there is none, or some are not; the message names all of these, and where labels were given, the
            sets that hold them.
    """
    if not names:
        raise LabelError(f"no label set is named. Choose from: {', '.join(LABEL_SETS)}.")
    strangers = [name for name in names if name not in LABEL_SETS]
    if strangers:
        holders = [item.name for item in LABEL_SETS.values() if not set(strangers).isdisjoint(item.labels)]
        hint = f" Whole sets are asked for, not single labels: those are in {' and '.join(holders)}." if holders else ""
        raise LabelError(unknown("label set", strangers, LABEL_SETS) + hint)


def known_sets(names: Iterable[str]) -> tuple[str, ...]:
    """Names of label sets, where some of them are files that define one; what they define is known from then on.

    Raises:
        LabelError: a file that cannot be read, or that defines no label set; or no such label set.
    """
    known = tuple(_of_file(Path(name)).name if name.endswith(FILES) else name for name in names)
    if known:
        check_label_sets(known)
    return known


def _of_file(path: Path) -> LabelSet:
    import yaml  # every command imports label sets, few read a file

    try:
        stated = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise LabelError(f"{path}: no label set can be read from it ({reason}). Check the file.") from error
    try:
        found = LabelSet.model_validate(_complete(stated))
    except (TypeError, ValueError) as error:
        reason = first_fault(error) if isinstance(error, ValidationError) else str(error)
        raise LabelError(
            f"{path}: defines no label set ({reason}). Wanted: name, labels (each with a line that describes it, or a "
            "list), quiet, and by choice negative, identify, locate, attribute."
        ) from error
    if BUILT_IN.get(found.name, found) != found:
        raise LabelError(f"{path}: label set {found.name!r} is built in and means other labels. Give it another name.")
    LABEL_SETS[found.name] = found
    return found


def _complete(stated: Any) -> dict[str, Any]:
    """What a file says, with usual questions; all labels but the quiet one are negative where it does not say which."""
    if not isinstance(stated, dict):
        raise TypeError(f"{type(stated).__name__} at its top, wanted fields")
    labels = stated.get("labels") or ()
    described = {label: text for label, text in labels.items() if text} if isinstance(labels, dict) else {}
    quiet = stated.setdefault("quiet", None)
    asked = {task: words.replace("{name}", str(stated.get("name"))) for task, words in _ASKED.items()}
    usual = {"negative": [label for label in labels if label != quiet], "descriptions": described, **asked}
    return {**usual, **stated, "labels": tuple(labels)}
