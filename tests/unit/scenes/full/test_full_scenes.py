"""The full profile's scenes one by one: tracks last, places stay, states come from the nearest entity."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from omnisila.scenes import face as embedded_face
from omnisila.scenes.extractor import SceneStream
from omnisila.scenes.face import FaceConfig
from omnisila.scenes.full.action import LAYOUT, FullActionConfig, FullActionExtractor, around
from omnisila.scenes.full.background import FullBackgroundConfig, FullBackgroundExtractor, movable
from omnisila.scenes.full.checkpoints import Checkpoints
from omnisila.scenes.full.face import FullFaceExtractor
from omnisila.scenes.full.relation import FullRelationConfig, RelTRScene
from omnisila.scenes.full.sem import FullSEMConfig
from omnisila.scenes.nets import visual_genome
from omnisila.scenes.nets.expression import ExpressionNet
from omnisila.scenes.nets.expression_classifier import ExpressionClassifier
from omnisila.scenes.nets.higher_hrnet import ENCODING, HigherHRNet, People
from omnisila.scenes.nets.mtcnn import MTCNN
from omnisila.scenes.nets.reltr import Relations, RelTR
from omnisila.scenes.nets.sam import BoxSegmenter
from omnisila.scenes.nets.vit import FrameEncoder
from omnisila.scenes.objects import ObjectsConfig, Track, TrackerState
from omnisila.scenes.sem import SceneEnrichedModeling


@pytest.fixture(scope="module")
def photograph() -> Tensor:
    """A face before a wall (NASA, public domain)."""
    image = np.array(Image.open(Path(__file__).parents[3] / "fixtures" / "astronaut.jpg"))
    return torch.from_numpy(image)[None]


def standing(x: float, size: float = 0.2, score: float = 0.9) -> People:
    """One person whose joints lie on a slanted line around x."""
    along = torch.linspace(-size, size, 17)
    joints = torch.stack([x + along, 0.5 + along, torch.full((17,), score), along, along], dim=1)[None]
    return People(joints, torch.tensor([score]), torch.rand(1, ENCODING))


def together(*people: People) -> People:
    return People(*(torch.cat(parts) for parts in zip(*people, strict=True)))


@pytest.fixture
def action(config: FullSEMConfig) -> FullActionExtractor:
    return FullActionExtractor(FullActionConfig(), HigherHRNet(config.pose_net))


def test_people_keep_their_track_whatever_order_they_are_found_in(action: FullActionExtractor) -> None:
    left, right = standing(0.25), standing(0.75, size=0.22)
    values, mask, state = action([together(left, right), together(right, left)], [0.0, 0.125], TrackerState())
    assert mask.sum(1).tolist() == [2, 2]
    tracks = LAYOUT.read(values[:, :2], "track")[..., 0]
    boxes = LAYOUT.read(values[:, :2], "box")
    assert torch.equal(tracks[0], tracks[1]), "the larger one stands first in both"
    assert tracks[0].unique().numel() == 2
    assert boxes[0, 0, 0] > 0.4
    later, _, _ = action([left], [0.25], state)
    assert LAYOUT.read(later[0, 0], "track") == tracks[0, 1]


def test_a_row_is_hawkeye_s_85_numbers(action: FullActionExtractor) -> None:
    person = standing(0.5)
    values, _, _ = action([person], [0.0], TrackerState())
    joints = LAYOUT.read(values[0, 0], "joints").reshape(17, 3)
    tags = LAYOUT.read(values[0, 0], "tags").reshape(17, 2)
    assert torch.equal(torch.cat([joints, tags], dim=1), person.joints[0])


def test_the_doubtful_are_left_out_and_five_stay(action: FullActionExtractor) -> None:
    crowd = together(*(standing(0.5, size=0.05 * (i + 1)) for i in range(7)), standing(0.5, score=0.05))
    values, mask, _ = action([crowd], [0.0], TrackerState())
    assert mask.sum() == 5
    heights = LAYOUT.read(values[0], "box")[:, 3] - LAYOUT.read(values[0], "box")[:, 1]
    assert heights.tolist() == sorted(heights.tolist(), reverse=True)


def test_a_box_holds_the_joints_that_were_seen() -> None:
    joints = standing(0.5).joints
    joints[0, 0] = torch.tensor([5.0, 5.0, 0.0, 0.0, 0.0])
    (box,) = around(joints, 0.0)
    torch.testing.assert_close(box, torch.tensor([0.325, 0.325, 0.7, 0.7]))
    assert around(joints, 0.2)[0, 2] == pytest.approx(0.775)


def test_faces_of_both_profiles_say_the_same_by_the_same_network(
    sem: SceneEnrichedModeling, photograph: Tensor, checkpoints: Checkpoints
) -> None:
    full = FullFaceExtractor(FaceConfig(), MTCNN.pretrained(), ExpressionNet.pretrained())
    values, mask = full(photograph)
    wanted, _ = sem.extractors["face"](photograph)
    assert mask.sum() == 1
    for name in ("box", "expressions", "embedding"):
        torch.testing.assert_close(full.layout.read(values, name), embedded_face.LAYOUT.read(wanted, name))
    assert checkpoints.expression is not None
    other = FullFaceExtractor(FaceConfig(), MTCNN.pretrained(), ExpressionClassifier.pretrained(checkpoints.expression))
    values, mask = other(photograph)
    (seen,) = embedded_face.evidence(SceneStream(0.0, 8.0, values, mask), other.layout)
    assert sum(seen.expressions.values()) == pytest.approx(1.0, abs=1e-3)
    assert other.layout.features["embedding"] == 8


def test_places_are_not_blacked_out() -> None:
    names = visual_genome.ENTITIES

    def track(name: str, left: float) -> Track:
        return Track(0, names.index(name), torch.tensor([left, 0.0, 1.0, 1.0]), torch.zeros(4), 0.9, 0.0, 0)

    boxes = movable((track("street", 0.1), track("man", 0.2), track("building", 0.3), track("car", 0.4)), names)
    assert boxes[:, 0].tolist() == pytest.approx([0.2, 0.4])
    assert movable((track("tree", 0.0),), names).shape == (0, 4)


def test_what_the_masks_hold_does_not_matter_to_the_background(checkpoints: Checkpoints) -> None:
    segmenter = BoxSegmenter.pretrained(checkpoints.segmentation)
    encoder = FrameEncoder.pretrained(checkpoints.background)
    full = FullBackgroundExtractor(FullBackgroundConfig(batch_size=2), segmenter, encoder)
    images = torch.randint(0, 255, (3, 48, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    boxes = [torch.tensor([[0.1, 0.1, 0.6, 0.7]]), torch.zeros(0, 4), torch.tensor([[0.3, 0.0, 1.0, 0.5]])]
    values, mask = full(images, boxes)
    assert values.shape == (3, 1, 24)
    assert mask.all()
    hidden = segmenter(images, boxes)
    assert 0.02 < hidden[0].float().mean() < 0.98
    black = images.clone()
    black[hidden] = 0
    torch.testing.assert_close(values[:, 0], encoder(black.permute(0, 3, 1, 2).float()))
    torch.testing.assert_close(values[1, 0], encoder(images[1:2].permute(0, 3, 1, 2).float())[0])


def graph(boxes: Tensor) -> Relations:
    """Two entities, a man on the left and a horse on the right, and one sure triplet between them."""
    man, horse, on = visual_genome.ENTITIES.index("man"), visual_genome.ENTITIES.index("horse"), 31
    entity = torch.zeros(3, 151)
    entity[0, man], entity[1, horse], entity[2, 0] = 0.9, 0.8, 0.99
    triplet = torch.zeros(2, 353)
    triplet[0, on], triplet[0, 51 + man], triplet[0, 202 + horse] = 0.9, 0.9, 0.9
    states = torch.arange(3.0)[:, None].expand(3, 16) + 1
    return Relations(
        states, entity, boxes, torch.full((2, 16), 7.0), torch.full((2, 16), 8.0), triplet,
        boxes[:2] + 0.01, boxes[1:] - 0.01, torch.tensor([0.729, 0.0]),
    )  # fmt: skip


def test_a_triplet_carries_the_states_of_the_entities_it_is_about(config: FullSEMConfig) -> None:
    assert config.relation_net is not None
    scene = RelTRScene(FullRelationConfig(), RelTR(config.relation_net))
    found = graph(torch.tensor([[0.0, 0.1, 0.4, 0.9], [0.5, 0.1, 0.9, 0.9], [0.0, 0.0, 0.1, 0.1]]))
    (row,) = scene._rows(found)
    assert torch.equal(row[:353], found.triplet_probabilities[0])
    assert scene.triplet_layout.read(row, "states").tolist() == [7.0] * 16 + [8.0] * 16
    assert scene.triplet_layout.read(row, "entities").tolist() == [1.0] * 16 + [2.0] * 16
    detections = scene._detections(found)
    assert [visual_genome.ENTITIES[i] for i in detections.classes] == ["man", "horse"], "class 0 is no object"


def test_pictures_shown_twice_are_looked_at_once_and_slow_extractors_see_fewer(config: FullSEMConfig) -> None:
    assert config.relation_net is not None
    scene = RelTRScene(FullRelationConfig(batch_size=2), RelTR(config.relation_net).eval())
    images = torch.randint(0, 255, (3, 32, 48, 3), dtype=torch.uint8)
    seen: list[int] = []
    scene.net.register_forward_hook(lambda *parts: seen.append(len(parts[1][0])))
    looked = scene.look(images, torch.tensor([0, 1, 1, 2]), [0.0, 0.5, 1.0, 1.5], TrackerState())
    assert sum(seen) == 3
    assert len(looked.seen) == len(looked.objects.values) == len(looked.relations.values) == 4


def test_detected_objects_stand_in_for_those_of_a_scene_graph(photograph: Tensor) -> None:
    scene = ObjectsConfig().build()
    looked = scene.look(photograph, torch.tensor([0, 0]), [0.0, 0.5], TrackerState())
    assert looked.objects.mask.any(1).all()
    names = scene.layout.words["class"]
    assert {names[track.class_index] for tracks in looked.seen for track in tracks} >= {"person"}
