"""Summaries of a window: what is there is counted, what is absent says calm."""

import math

import torch

from omnisila.scenes import action, face
from omnisila.scenes.extractor import Entities
from omnisila.scenes.motion import LOG_FLOOR
from omnisila.scenes.relation import LAYOUT as RELATION
from omnisila.scenes.summaries import SUMMARIES, summaries
from omnisila.scenes.visual import MIDDLE, VIEWS

FRAMES = 8


def window(visual: torch.Tensor | None = None) -> tuple[dict[str, Entities], Entities]:
    """A window of nothing but pictures."""
    people = torch.zeros(1, FRAMES, action.MAX_PEOPLE + 1, action.LAYOUT.feature_width)
    triplets = torch.zeros(1, FRAMES, 5, RELATION.feature_width)
    faces = torch.zeros(1, FRAMES, 5, face.LAYOUT.feature_width)
    values = torch.zeros(1, FRAMES, VIEWS, 2560) if visual is None else visual
    scenes = {
        "face": Entities(faces, torch.zeros(faces.shape[:3], dtype=torch.bool)),
        "action": Entities(people, torch.zeros(people.shape[:3], dtype=torch.bool)),
        "relation": Entities(triplets, torch.zeros(triplets.shape[:3], dtype=torch.bool)),
    }
    return scenes, Entities(values, torch.ones(1, FRAMES, VIEWS, dtype=torch.bool))


def test_every_summary_has_its_width():
    found = summaries(*window())
    assert {name: values.shape[1] for name, values in found.items()} == SUMMARIES
    assert all(bool(values.isfinite().all()) for values in found.values())


def test_a_picture_without_motion_is_at_the_floor_of_logarithms():
    motion = summaries(*window(), ["motion"])["motion"]
    assert motion.min().item() == torch.tensor(math.log(LOG_FLOOR)).item()
    assert motion.max().item() == 0.0  # the deviations


def test_steady_change_has_no_jerk_and_a_jump_has():
    steady, jump = torch.zeros(1, FRAMES, VIEWS, 2560), torch.zeros(1, FRAMES, VIEWS, 2560)
    steady[0, :, 0, 0] = torch.arange(FRAMES)
    jump[0, 4:, 0, 0] = 1.0
    assert summaries(*window(steady), ["jerk"])["jerk"].abs().max().item() == 0.0
    jerk = summaries(*window(jump), ["jerk"])["jerk"][0]
    assert jerk[1280].item() == 1.0  # maximum over the frames
    assert math.isclose(jerk[0].item(), 2 / 6, rel_tol=1e-6)


def test_frames_outside_the_video_do_not_count():
    values = torch.zeros(1, FRAMES, VIEWS, 2560)
    values[0, :4, 0, 0] = 2.0
    scenes, visual = window(values)
    visual.mask[0, 4:] = False
    found = summaries(scenes, visual, ["level", "spread", "jerk"])
    assert found["level"][0, 0].item() == 2.0
    assert found["spread"].abs().max().item() == 0.0
    assert found["jerk"].abs().max().item() == 0.0


def test_the_middle_counts_in_the_frames_where_it_was_looked_at():
    scenes, visual = window()
    visual.values[0, :, MIDDLE, 0], visual.values[0, 2, MIDDLE, [0, 1280]] = 9.0, torch.tensor([1.0, 2.0])
    visual.mask[0, :, MIDDLE] = torch.arange(FRAMES) == 2
    found = summaries(scenes, visual, ["level", "middle", "middle_peak"])
    assert [values[0, 0].item() for values in found.values()] == [0.0, 1.0, 2.0]
    visual.mask[0, :, MIDDLE], visual.values[0, :, 0, [0, 1280]] = False, torch.tensor([3.0, 4.0])
    whole = summaries(scenes, visual, ["middle", "middle_peak"])
    assert [values[0, 0].item() for values in whole.values()] == [3.0, 4.0], "none of the frames has its middle"


def test_a_person_counts_whoever_stands_in_the_other_places():
    scenes, visual = window()
    scenes["action"].mask[0, :, 2] = True
    scenes["action"].values[0, :, 2, action.LAYOUT.slice("velocity")] = -3.0
    limbs = summaries(scenes, visual, ["limbs"])["limbs"][0]
    assert limbs[0].item() == 3.0
    people = summaries(scenes, visual, ["people"])["people"][0]
    assert people[-2:].tolist() == [1.0, 1.0]
