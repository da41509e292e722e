"""What Hawkeye's graphs are made from: joints, triplets and patches, read from the extractors' features."""

from typing import NamedTuple, Self

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.scenes.boxes import WHOLE_FRAME, Area
from omnisila.scenes.extractor import Entities, Layout

JOINTS = 17  # COCO's, in the order of omnisila.scenes.action.JOINT_NAMES


class FrameTokens(NamedTuple):
    """Tokens of a window frame by frame, zero where masked out: X_v, X_a, X_c+1, X_s and y."""

    values: Float[Tensor, "batch frames tokens width"]
    mask: Bool[Tensor, "batch frames tokens"]


def check_width(scene: str, entities: Entities, wanted: int) -> None:
    """Refuse features of another profile.

    Raises:
        InputError: with both widths.
    """
    if entities.values.shape[-1] != wanted:
        raise InputError(
            f"{scene}: features of width {entities.values.shape[-1]}, wanted {wanted}. "
            "Extract with the profile the model was trained on."
        )


class JointReading(Config):
    """Where a person's joints lie in the action features.

    Attributes:
        parts: first column, and numbers a joint; the first part begins with x, y and score of each joint.
    """

    features: int
    parts: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, layout: Layout, *names: str) -> Self:
        """The joints as a layout has them; by default its ``joints`` alone."""
        slices = [layout.slice(name) for name in names or ("joints",)]
        parts = tuple((part.start, (part.stop - part.start) // JOINTS) for part in slices)
        return cls(features=layout.feature_width, parts=parts)

    @property
    def numbers(self) -> int:
        return sum(count for _, count in self.parts)

    def read(self, people: Entities) -> Float[Tensor, "batch frames people 17 numbers"]:
        """Each joint's numbers.

        Raises:
            InputError: features of another width.
        """
        check_width("action", people, self.features)
        found = [people.values[..., first : first + JOINTS * count] for first, count in self.parts]
        return torch.cat([part.unflatten(-1, (JOINTS, -1)) for part in found], dim=-1)


class TripletReading(Config):
    """Where a triplet's parts lie in the relation features.

    Attributes:
        subject: first column and number of classes of its probabilities, as are ``predicate`` and ``object``.
        subject_box: first column of its box in frame fractions, as is ``object_box``.
    """

    features: int
    subject: tuple[int, int]
    predicate: tuple[int, int]
    object: tuple[int, int]
    subject_box: int
    object_box: int

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """The triplets as a layout has them, under the names of these fields."""

        def place(name: str) -> tuple[int, int]:
            found = layout.slice(name)
            return found.start, found.stop - found.start

        return cls(
            features=layout.feature_width,
            subject=place("subject"),
            predicate=place("predicate"),
            object=place("object"),
            subject_box=place("subject_box")[0],
            object_box=place("object_box")[0],
        )

    def read(self, relations: Entities) -> "Triplets":
        """The parts of every triplet.

        Raises:
            InputError: features of another width.
        """
        check_width("relation", relations, self.features)
        values = relations.values

        def part(first: int, count: int) -> Tensor:
            return values[..., first : first + count]

        return Triplets(
            torch.cat([part(*self.subject), part(*self.object)], dim=2),
            part(*self.predicate),
            torch.cat([part(self.subject_box, 4), part(self.object_box, 4)], dim=2),
            relations.mask,
        )


class Triplets(NamedTuple):
    """k triplets a frame; the 2k ends are the k subjects, then the k objects."""

    end_classes: Float[Tensor, "batch frames ends classes"]
    predicates: Float[Tensor, "batch frames triplets predicates"]
    end_boxes: Float[Tensor, "batch frames ends 4"]
    mask: Bool[Tensor, "batch frames triplets"]


class PatchGrid(Config):
    """How the visual encoder's tokens lie in a frame: class tokens first, then patches row by row.

    One patch stands for the whole frame: it lies in every box, and there is nothing to mask.

    Attributes:
        unread: further tokens of a frame, behind the patches, that show a part of it again.
        area: the part of every frame that the patches cover; None where each window says its own (``Entities.area``),
            since a visual tower may crop a video by its shape.
    """

    rows: int = 1
    columns: int = 1
    class_tokens: int = 0
    unread: int = 0
    area: Area | None = WHOLE_FRAME

    @property
    def patches(self) -> int:
        """Tokens of a frame that are read, class tokens among them."""
        return self.class_tokens + self.rows * self.columns

    def cells(self) -> Float[Tensor, "patches 4"]:
        """Each token's box in fractions of the area; class tokens have empty ones."""
        row, column = torch.meshgrid(torch.arange(self.rows), torch.arange(self.columns), indexing="ij")
        corners = torch.stack([column, row, column + 1, row + 1], dim=-1).flatten(0, 1)
        cells = corners / torch.tensor([self.columns, self.rows]).repeat(2)
        return torch.cat([torch.zeros(self.class_tokens, 4), cells])

    def locate_boxes(
        self, boxes: Float[Tensor, "batch frames boxes 4"], area: Float[Tensor, "batch 4"] | None
    ) -> Float[Tensor, "batch frames boxes 4"]:
        """Boxes in fractions of the area, from frame fractions; they may reach over its ends, or lie outside.

        Args:
            area: each window's, where the grid has none.

        Raises:
            InputError: neither has one.
        """
        if self.area is not None:
            area = boxes.new_tensor([self.area])
        elif area is None:
            raise InputError(
                "visual tokens that do not say which part of the frame they show, wanted left, top, right and bottom "
                "for each window: the visual tower crops a video by its shape. Encode frames with "
                "TransformersVideoLLM.see."
            )
        corner, opposite = area.to(boxes)[:, None, None].split(2, dim=-1)
        return (boxes - corner.repeat(1, 1, 1, 2)) / (opposite - corner).repeat(1, 1, 1, 2)
