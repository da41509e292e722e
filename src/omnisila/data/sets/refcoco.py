"""RefCOCO, RefCOCO+, RefCOCOg: phrases that single out one thing in a picture; scene tuning's image regions.

Address: https://github.com/lichengunc/refer (Yu et al., ECCV 2016; Mao et al., CVPR 2016)
Licence: Apache-2.0 for the interface and lists; the pictures are COCO's, each under its own Flickr licence.
A record of refs(unc).p, a pickled list, with its box (x, y, width, height in pixels) in instances.json:
    {"ref_id": 0, "ann_id": 1719310, "category_id": 1, "image_id": 581857, "split": "train",
     "file_name": "COCO_train2014_000000581857_16.jpg", "sent_ids": [0], "sentences":
     [{"tokens": ["the", "lady"], "raw": "the lady", "sent_id": 0, "sent": "the lady"}]}
The picture's name is that of instances.json: ``file_name`` above carries a number too many. The refs come as a pickle,
which could run code: only plain containers, texts and numbers are let in.
The phrase is followed by the box in frame fractions: the lady at <0.12,0.30,0.41,0.98>.
"""

import io
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, NoReturn

from pydantic import TypeAdapter, ValidationError

from omnisila.config import first_fault
from omnisila.data.annotated import AnnotatedSet, Described, Malformed, Split
from omnisila.data.annotation_files import Stated, read_json
from omnisila.data.sets import DataSet
from omnisila.errors import DataSetError

REFS = ("refs(unc).p", "refs(umd).p", "refs(google).p")  # the published splits; umd keeps pictures apart, google not
SPLITS: dict[str, Split] = {"train": "train", "val": "val", "test": "test", "testA": "test", "testB": "test"}
FORM = "a pickled list of {ref_id, ann_id, image_id, split, sentences: [{sent, sent_id}]}"
INSTANCES_FORM = "COCO's {images: [{id, file_name, width, height}], annotations: [{id, image_id, bbox}]}"


class _Sentence(Stated):
    sent: str
    sent_id: int


class _Ref(Stated):
    ref_id: int
    ann_id: int
    image_id: int
    split: Literal["train", "val", "test", "testA", "testB"]
    sentences: tuple[_Sentence, ...]


class _Image(Stated):
    id: int
    file_name: str
    width: int
    height: int


class _Box(Stated):
    id: int
    image_id: int
    bbox: tuple[float, float, float, float]


class _Instances(Stated):
    images: tuple[_Image, ...]
    annotations: tuple[_Box, ...]


class PlainUnpickler(pickle.Unpickler):
    """Loads lists, dicts, tuples, texts and numbers; anything that names a class or function is refused."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        """Called for every class or function that the file asks for.

        Raises:
            UnpicklingError: always.
        """
        raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which could run code")


def read(folder: Path) -> AnnotatedSet:
    """All phrases; ``folder`` is that of one of the three sets."""
    path = next((folder / name for name in REFS if (folder / name).is_file()), folder / REFS[0])
    try:
        refs = TypeAdapter(tuple[_Ref, ...]).validate_python(unpickle_plain(path))
    except ValidationError as error:
        raise DataSetError(f"{path}, item {first_fault(error)}. Wanted: {FORM}.") from error
    instances, _ = read_json(folder / "instances.json", TypeAdapter(_Instances).validate_python, INSTANCES_FORM)
    images = {image.id: image for image in instances.images}
    boxes = {box.id: box for box in instances.annotations}
    described: list[Described] = []
    malformed: list[Malformed] = []
    for index, ref in enumerate(refs):
        image, box = images.get(ref.image_id), boxes.get(ref.ann_id)
        if image is None or box is None or box.image_id != ref.image_id:
            reason = f"item {index}: no box {ref.ann_id} on picture {ref.image_id} in instances.json"
            malformed.append(Malformed(file=path.name, line=None, reason=reason))
        else:
            described += _describe_regions(ref, image, box)
    return AnnotatedSet(described=tuple(described), malformed=tuple(malformed))


def unpickle_plain(path: Path) -> Any:
    """The plain data in a pickle, of Python 2 or 3.

    Raises:
        DataSetError: it is missing, damaged, or asks for more than plain data.
    """
    try:
        return PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except FileNotFoundError:
        raise DataSetError(f"{path}: no such file. Wanted: one of {', '.join(REFS)}. Put it there.") from None
    except Exception as error:  # a damaged pickle raises nearly anything
        raise DataSetError(f"{path}: not read as a pickle of plain data ({error}). Wanted: {FORM}.") from error


def _describe_regions(ref: _Ref, image: _Image, box: _Box) -> Iterator[Described]:
    left, top, width, height = box.bbox
    corners = (left / image.width, top / image.height, (left + width) / image.width, (top + height) / image.height)
    place = ",".join(f"{min(max(corner, 0.0), 1.0):.2f}" for corner in corners)
    for sentence in ref.sentences:
        yield Described(
            id=f"{ref.ref_id}-{sentence.sent_id}", source=image.file_name, medium="image", scene="relation",
            text=f"{sentence.sent} at <{place}>", split=SPLITS[ref.split], group=str(image.id),
        )  # fmt: skip


SET = DataSet(read, untrained="its descriptions tune scenes (prepare scene-tuning) and hold no label")
