"""What the extractors saw at a key frame as shapes in picture units, for drawing over it."""

from typing import NamedTuple

from omnisila.report.keyframes import seen_at
from omnisila.report.wording import strongest
from omnisila.schema import Box, Evidence, JointEvidence, PersonEvidence

_SURE_JOINT, _FAINT_JOINT = 0.3, 0.15
_LINES = 28  # of text on the longer side
_LETTER = 0.6  # mean width of a letter in heights of the text
_MAX_TRIPLETS = 3  # the surest; more would cover the picture
# COCO's 19 limbs
_LIMBS = (
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"), ("right_ankle", "right_knee"), ("right_knee", "right_hip"),
    ("left_hip", "right_hip"), ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_shoulder", "right_shoulder"), ("left_shoulder", "left_elbow"), ("right_shoulder", "right_elbow"),
    ("left_elbow", "left_wrist"), ("right_elbow", "right_wrist"), ("left_eye", "right_eye"), ("nose", "left_eye"),
    ("nose", "right_eye"), ("left_eye", "left_ear"), ("right_eye", "right_ear"), ("left_ear", "left_shoulder"),
    ("right_ear", "right_shoulder"),
)  # fmt: skip


class Rectangle(NamedTuple):
    """A box in picture units."""

    x: float
    y: float
    width: float
    height: float


class Label(NamedTuple):
    """Words that begin at a place."""

    x: float
    y: float
    text: str


class Segment(NamedTuple):
    """A line from one place to another; ``sure`` is false where a joint's score is low."""

    x1: float
    y1: float
    x2: float
    y2: float
    sure: bool = True


class Joint(NamedTuple):
    x: float
    y: float
    sure: bool


class Boxed(NamedTuple):
    """A face or an object."""

    box: Rectangle
    label: Label


class Figure(NamedTuple):
    """A person: box, limbs and joints."""

    box: Rectangle
    limbs: tuple[Segment, ...]
    joints: tuple[Joint, ...]


class Relation(NamedTuple):
    """A triplet: both boxes, a line between them, its words at the line's middle."""

    subject: Rectangle
    object: Rectangle
    line: Segment
    label: Label


class Overlay(NamedTuple):
    """All shapes over one key frame; ``unit`` is the height of readable text, the measure of all strokes."""

    width: float
    height: float
    unit: float
    faces: tuple[Boxed, ...]
    people: tuple[Figure, ...]
    objects: tuple[Boxed, ...]
    relations: tuple[Relation, ...]


def overlay(evidence: Evidence, time_s: float, width_px: int, height_px: int) -> Overlay:
    """The shapes of what was seen at a time, in a plane with the proportions of the picture."""
    plane = _Plane(1000.0, 1000.0 * height_px / width_px)
    seen = seen_at(evidence, time_s)
    triplets = sorted(seen.triplets, key=lambda triplet: -triplet.score)[:_MAX_TRIPLETS]
    return Overlay(
        width=plane.width, height=round(plane.height, 1), unit=plane.unit,
        faces=tuple(
            plane.place_box(face.box, "{} {:.2f}".format(*strongest(face.expressions)) if face.expressions else "face")
            for face in seen.faces
        ),
        people=tuple(plane.figure(person) for person in seen.people),
        objects=tuple(
            plane.place_box(thing.box, f"{thing.name} {thing.score:.2f}")
            for thing in (*seen.objects, *seen.others)
            if thing.name != "person" and thing.box is not None
        ),
        relations=tuple(plane.relation(found.subject_box, found.object_box, found.predicate) for found in triplets),
    )  # fmt: skip


class _Plane:
    """Places shapes, and words where no words are yet."""

    def __init__(self, width: float, height: float) -> None:
        self.width, self.height = width, height
        self.unit = round(max(width, height) / _LINES, 1)
        self._taken: list[Rectangle] = []

    def rectangle(self, box: Box) -> Rectangle:
        x, y = box.left_frac * self.width, box.top_frac * self.height
        right, bottom = box.right_frac * self.width, box.bottom_frac * self.height
        return Rectangle(round(x, 1), round(y, 1), round(max(right - x, 1), 1), round(max(bottom - y, 1), 1))

    def place_box(self, box: Box, text: str) -> Boxed:
        rectangle = self.rectangle(box)
        return Boxed(rectangle, self.label(rectangle.x, rectangle.y - self.unit / 3, text))

    def figure(self, person: PersonEvidence) -> Figure:
        by_name = {joint.name: joint for joint in person.joints if joint.score >= _FAINT_JOINT}
        limbs = tuple(
            self._limb(by_name[first], by_name[other])
            for first, other in _LIMBS
            if first in by_name and other in by_name
        )
        joints = tuple(Joint(*self._place(joint), joint.score >= _SURE_JOINT) for joint in by_name.values())
        return Figure(self.rectangle(person.box), limbs, joints)

    def relation(self, subject_box: Box, object_box: Box, predicate: str) -> Relation:
        subject, thing = self.rectangle(subject_box), self.rectangle(object_box)
        x1, y1 = subject.x + subject.width / 2, subject.y + subject.height / 2
        x2, y2 = thing.x + thing.width / 2, thing.y + thing.height / 2
        line = Segment(round(x1, 1), round(y1, 1), round(x2, 1), round(y2, 1))
        return Relation(subject, thing, line, self.label((x1 + x2) / 2, (y1 + y2) / 2, predicate.replace("_", " ")))

    def label(self, x: float, y: float, text: str) -> Label:
        """Words beginning at a place, moved as far as it needs to be inside the picture and off other words."""
        length = min(_LETTER * self.unit * len(text), self.width)
        x = min(max(x, 4.0), self.width - length - 4)
        y = min(max(y, self.unit), self.height - self.unit / 3)
        for _ in range(len(self._taken)):
            if not any(_collide(Rectangle(x, y - self.unit, length, self.unit), other) for other in self._taken):
                break
            y = y + self.unit if y + self.unit < self.height else self.unit
        self._taken.append(Rectangle(x, y - self.unit, length, self.unit))
        return Label(round(max(x, 0.0), 1), round(y, 1), text)

    def _place(self, joint: JointEvidence) -> tuple[float, float]:
        return round(joint.x_frac * self.width, 1), round(joint.y_frac * self.height, 1)

    def _limb(self, first: JointEvidence, other: JointEvidence) -> Segment:
        return Segment(*self._place(first), *self._place(other), min(first.score, other.score) >= _SURE_JOINT)


def _collide(first: Rectangle, other: Rectangle) -> bool:
    return (
        first.x < other.x + other.width
        and other.x < first.x + first.width
        and first.y < other.y + other.height
        and other.y < first.y + first.height
    )
