"""Attribution: scenes that are not there speak for nothing, and evidence is thinned to the key times."""

import pytest
import torch

from omnisila.inference.attributing import scene_influence, thin_evidence
from omnisila.inference.run_folders import run_folder
from omnisila.labels import IMPLICIT
from omnisila.models.checkpoint import Run, load_run
from omnisila.scene_registry import SCENES
from omnisila.scenes.sem import embedded_layouts
from omnisila.scenes.windows import SceneFrames, Window, stack
from omnisila.schema import Box, Evidence, ObjectEvidence, Span


@pytest.fixture(scope="module")
def run() -> Run:
    return load_run(run_folder("compact"))


def frames(scene: str, present: bool) -> SceneFrames:
    entities = {"visual": 2, "background": 1, "action": 6}.get(scene, 3)
    values = torch.rand(
        8, entities, embedded_layouts()[scene].feature_width, generator=torch.Generator().manual_seed(0)
    )
    return SceneFrames(values * present, torch.full((8, entities), present))


def test_an_absent_scene_has_no_influence_and_a_present_one_has(run: Run):
    parts = {scene: frames(scene, scene != "face") for scene in ("visual", *SCENES)}
    window = Window(Span(start_s=0, end_s=2), parts)
    speaks = scene_influence(run.model, IMPLICIT, run.record.labels["implicit"], "Fighting", stack([window]))
    assert set(speaks) == set(SCENES)
    assert speaks["face"] == pytest.approx(0.0, abs=1e-5)
    assert abs(speaks["action"]) > 1e-3


def test_a_label_that_was_not_trained_has_no_influences(run: Run):
    window = Window(Span(start_s=0, end_s=2), {scene: frames(scene, True) for scene in ("visual", *SCENES)})
    speaks = scene_influence(run.model, IMPLICIT, run.record.labels["implicit"], "Water Incidents", stack([window]))
    assert set(speaks.values()) == {0.0}


def test_evidence_is_kept_at_the_samples_nearest_to_the_key_times():
    box = Box(left_frac=0.1, top_frac=0.1, right_frac=0.2, bottom_frac=0.2)
    objects = tuple(ObjectEvidence(time_s=t / 2, track=1, name="car", box=box, score=0.9) for t in range(20))
    kept = thin_evidence(Evidence(objects=objects), [0.1, 4.3]).objects
    assert [item.time_s for item in kept] == [0.0, 4.5]
