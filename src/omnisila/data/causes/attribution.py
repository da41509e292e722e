"""From a span's evidence to plain clauses that are true of it: the stock from which causes are chosen.

A model ranks these clauses by how likely it finds them as the cause, and the best ones are the cause; it cannot say
anything that no extractor saw. Every clause carries how much of the span supports it, and the scene it was read from.

Thresholds say from when on a word is used, in units that do not depend on the camera: speeds are in the person's own
heights per second, distances in widths of the boxes.
"""

import itertools
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, TypeVar

from omnisila.labels import LabelSet, Sign
from omnisila.schema import Box, Evidence, FaceEvidence, ObjectEvidence, PersonEvidence, SceneEvidence, SceneName

Seen = TypeVar("Seen", PersonEvidence, ObjectEvidence)

MIN_EXPRESSION = 0.5  # of a face's probability
MIN_JOINT_SCORE = 0.3
FAST_ARM = 1.5  # person heights per second of a wrist against the hips
FAST_BODY = 0.8  # person heights per second of the box's centre
FAST_VEHICLE = 1.0  # of its own width per second
FLAME_FRAC = 0.08  # of the view
MUCH_MOVEMENT_FRAC = 0.25  # of the view
MAX_STEP_S = 0.6  # two samples farther apart tell no speed
MIN_OBJECT_SCORE = 0.45  # decision D14
LYING_RATIO = 1.3  # a person's box this much wider than high

VEHICLES = ("bicycle", "car", "motorcycle", "bus", "train", "truck", "boat", "airplane")
_EXPRESSION_WORDS = {
    "angry": "an angry face", "happy": "a happy face", "sad": "a sad face", "fearful": "a fearful face",
    "disgusted": "a disgusted face", "surprised": "a surprised face", "neutral": "a calm face",
}  # fmt: skip
_SIGN_OF_FACE: dict[str, Sign] = {
    "an angry face": "angry face", "a happy face": "happy face", "a sad face": "sad face",
    "a fearful face": "fearful face", "a disgusted face": "disgusted face",
}  # fmt: skip
_NAMES: dict[Sign, tuple[str, ...]] = {
    "vehicle": ("bicycle", "car", "motorcycle", "bus", "truck"),
    "boat": ("boat",),
    "bag": ("backpack", "handbag", "suitcase"),
    "weapon": ("knife", "baseball bat", "scissors"),
    "animal": ("dog", "horse", "cow", "bear", "elephant", "sheep", "cat"),
}
_SIGN_OF_OBJECT: dict[str, Sign] = {name: sign for sign, names in _NAMES.items() for name in names}
_PLACES = {
    "vehicles": VEHICLES,
    "furniture": ("bench", "chair", "couch", "bed", "dining table", "potted plant"),
    "screens": ("tv", "laptop", "cell phone", "microwave"),
    "goods": ("bottle", "cup", "book", "backpack", "handbag", "suitcase", "refrigerator"),
    "road signs": ("traffic light", "stop sign", "parking meter", "fire hydrant"),
}
_NUMBERS = ("no", "one", "two", "three", "four", "five")


class Clause(NamedTuple):
    """One true statement: its words, the scene it was read from, and how many sample times support it.

    ``sign``: what labels it may speak for, see ``LabelSet.signs``.
    """

    text: str
    scene: SceneName
    support: int
    sign: Sign | None = None


class SceneSummary(NamedTuple):
    """What a span's features say beyond boxes and names; None where an extractor did not measure it."""

    moving_frac: float | None = None  # of the view that moves, 0..1
    brightness: float | None = None  # mean of the view, 0..1
    flame_frac: float | None = None  # of the view in the colours of flames, 0..1


def clauses(evidence: Evidence, summary: SceneSummary | None = None) -> tuple[Clause, ...]:
    """Every clause that is true of the evidence, best supported first; none stands twice."""
    found = (
        *_faces(evidence.faces),
        *_people(evidence.people),
        *_triplets(evidence),
        *_objects(evidence.objects),
        *_view(summary or SceneSummary()),
        *_others(evidence.others),
    )
    best: dict[str, Clause] = {}
    for clause in found:
        if clause.text not in best or best[clause.text].support < clause.support:
            best[clause.text] = clause
    return tuple(sorted(best.values(), key=lambda clause: (-clause.support, clause.text)))


def clauses_for(found: Sequence[Clause], labels: LabelSet, label: str) -> tuple[Clause, ...]:
    """The clauses that may be given as a label's cause; none of a label whose signs are not known."""
    return tuple(clause for clause in found if clause.sign in labels.signs.get(label, ()))


def _faces(faces: Sequence[FaceEvidence]) -> Iterator[Clause]:
    words: Counter[str] = Counter()
    for face in faces:
        name = max(face.expressions, key=lambda key: face.expressions[key])
        if face.expressions[name] >= MIN_EXPRESSION:
            words[_EXPRESSION_WORDS.get(name, f"a face that looks {name}")] += 1
    yield from (Clause(text, "face", count, _SIGN_OF_FACE.get(text)) for text, count in words.items())
    if faces and not words:
        yield Clause("a face without a clear expression", "face", len(faces))


def _people(people: Sequence[PersonEvidence]) -> Iterator[Clause]:
    if not people:
        return
    at_once = Counter(person.time_s for person in people)
    usual = Counter(at_once.values()).most_common(1)[0][0]
    if usual == 1:
        yield Clause("one person", "action", len(at_once))
    else:
        number = _NUMBERS[usual] if usual < len(_NUMBERS) else usual
        yield Clause(f"{number} people", "action", len(at_once), "several people")
    lying = {person.time_s for person in people if _is_lying(person)}
    if lying:
        yield Clause("a person on the ground", "action", len(lying), "person lying")
    raised = {person.time_s for person in people if _raises_an_arm(person)}
    if raised:
        yield Clause("a person with a raised arm", "action", len(raised), "raised arm")
    arms, bodies = _fast_moments(people)
    if len(arms) >= 2:
        yield Clause("people moving their arms fast", "action", sum(arms.values()), "fast arms")
    elif arms:
        yield Clause("a person moving the arms fast", "action", sum(arms.values()), "fast arms")
    if bodies:
        yield Clause("a person moving fast", "action", sum(bodies.values()), "fast person")


def _fast_moments(people: Sequence[PersonEvidence]) -> tuple[Counter[int], Counter[int]]:
    """For each track, how many steps had fast arms, and in how many the whole body was fast."""
    arms: Counter[int] = Counter()
    bodies: Counter[int] = Counter()
    for track, (first, second) in _steps(people):
        duration_s, height = second.time_s - first.time_s, _height(second.box)
        if _distance(_centre(first.box), _centre(second.box)) / height / duration_s >= FAST_BODY:
            bodies[track] += 1
        moved = [
            _distance(before, after) / height / duration_s
            for before, after in zip(_wrists_from_hips(first), _wrists_from_hips(second), strict=True)
            if before is not None and after is not None
        ]
        if moved and max(moved) >= FAST_ARM:
            arms[track] += 1
    return arms, bodies


def _triplets(evidence: Evidence) -> Iterator[Clause]:
    times: dict[tuple[str, Sign | None], set[float]] = defaultdict(set)
    for triplet in evidence.triplets:
        if triplet.score < MIN_OBJECT_SCORE:
            continue
        words = triplet.predicate.replace("_", " ")
        if triplet.subject == triplet.object:
            text = f"two {_plural(triplet.subject)} {words} each other"
        else:
            text = f"{_a(triplet.subject)} {words} {_a(triplet.object)}"
        times[text, _sign_of_pair(triplet.subject, triplet.object)].add(triplet.time_s)
    yield from (Clause(text, "relation", len(at), sign) for (text, sign), at in times.items())


def _sign_of_pair(subject: str, thing: str) -> Sign | None:
    """Of what is named beside a person, or of a thing beside its like."""
    if subject == thing == "person":
        return "people together"
    signs: set[Sign | None] = {_SIGN_OF_OBJECT.get(name) for name in (subject, thing) if name != "person"}
    return signs.pop() if len(signs) == 1 else None


def _objects(seen: Sequence[ObjectEvidence]) -> Iterator[Clause]:
    objects = [thing for thing in seen if thing.score >= MIN_OBJECT_SCORE]
    times: dict[str, set[float]] = defaultdict(set)
    for thing in objects:
        if thing.name != "person":
            times[thing.name].add(thing.time_s)
    yield from (Clause(_a(name), "relation", len(at), _SIGN_OF_OBJECT.get(name)) for name, at in times.items())
    for word, names in _PLACES.items():
        at = set().union(*(times[name] for name in names if name in times))
        if at:
            yield Clause(f"a place with {word}", "background", len(at))
    vehicles = [thing for thing in objects if thing.name in VEHICLES]
    fast: Counter[str] = Counter()
    for _, (first, second) in _steps(vehicles):
        width = max(second.box.right_frac - second.box.left_frac, 1e-3)
        if _distance(_centre(first.box), _centre(second.box)) / width / (second.time_s - first.time_s) >= FAST_VEHICLE:
            fast[second.name] += 1
    for name, count in fast.items():
        sign = "fast vehicle" if _SIGN_OF_OBJECT.get(name) == "vehicle" else None
        yield Clause(f"{_a(name)} moving fast", "relation", count, sign)


def _view(summary: SceneSummary) -> Iterator[Clause]:
    if summary.moving_frac is not None:
        words = (
            "hardly any movement" if summary.moving_frac < 0.02
            else "movement in much of the view" if summary.moving_frac > MUCH_MOVEMENT_FRAC
            else "movement in a part of the view"
        )  # fmt: skip
        yield Clause(words, "action", 1, "much movement" if summary.moving_frac > MUCH_MOVEMENT_FRAC else None)
    if summary.brightness is not None:
        words = "a dark view" if summary.brightness < 0.25 else "a bright view" if summary.brightness > 0.6 else None
        yield Clause(words or "a view of middling brightness", "background", 1)
    if summary.flame_frac is not None and summary.flame_frac >= FLAME_FRAC:
        yield Clause("flame-like colours", "background", 1, "flames")


def _others(seen: Sequence[SceneEvidence]) -> Iterator[Clause]:
    times: dict[tuple[str, SceneName], set[float]] = defaultdict(set)
    for thing in seen:
        times[thing.name, thing.scene].add(thing.time_s)
    yield from (Clause(name, scene, len(at)) for (name, scene), at in times.items())


def _steps(seen: Iterable[Seen]) -> Iterator[tuple[int, tuple[Seen, Seen]]]:
    """Each track's neighbouring samples that are close enough in time to tell a speed."""
    tracks: dict[int, list[Seen]] = defaultdict(list)
    for sample in seen:
        tracks[sample.track].append(sample)
    for track, samples in tracks.items():
        samples.sort(key=lambda sample: sample.time_s)
        for first, second in itertools.pairwise(samples):
            if 0 < second.time_s - first.time_s <= MAX_STEP_S:
                yield track, (first, second)


def _find_joint(person: PersonEvidence, name: str) -> tuple[float, float] | None:
    for joint in person.joints:
        if joint.name == name and joint.score >= MIN_JOINT_SCORE:
            return joint.x_frac, joint.y_frac
    return None


def _wrists_from_hips(person: PersonEvidence) -> tuple[tuple[float, float] | None, ...]:
    hips = [place for side in ("left", "right") if (place := _find_joint(person, f"{side}_hip")) is not None]
    wrists = [_find_joint(person, f"{side}_wrist") for side in ("left", "right")]
    if not hips:
        return (None, None)
    x, y = (sum(place[axis] for place in hips) / len(hips) for axis in (0, 1))
    return tuple(None if wrist is None else (wrist[0] - x, wrist[1] - y) for wrist in wrists)


def _raises_an_arm(person: PersonEvidence) -> bool:
    nose = _find_joint(person, "nose")
    wrists = (_find_joint(person, "left_wrist"), _find_joint(person, "right_wrist"))
    return nose is not None and any(wrist is not None and wrist[1] < nose[1] for wrist in wrists)


def _is_lying(person: PersonEvidence) -> bool:
    """A box much wider than high, in which the trunk lies more than it stands."""
    width = person.box.right_frac - person.box.left_frac
    if width < LYING_RATIO * _height(person.box):
        return False
    shoulder, hip = _find_joint(person, "left_shoulder"), _find_joint(person, "left_hip")
    return shoulder is not None and hip is not None and abs(hip[0] - shoulder[0]) > abs(hip[1] - shoulder[1])


def _height(box: Box) -> float:
    return max(box.bottom_frac - box.top_frac, 1e-3)


def _centre(box: Box) -> tuple[float, float]:
    return (box.left_frac + box.right_frac) / 2, (box.top_frac + box.bottom_frac) / 2


def _distance(first: tuple[float, float], second: tuple[float, float]) -> float:
    return math.hypot(first[0] - second[0], first[1] - second[1])


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _plural(noun: str) -> str:
    if noun == "person":
        return "people"
    return f"{noun}es" if noun.endswith(("s", "ch", "x")) else f"{noun}s"
