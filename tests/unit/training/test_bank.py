"""Bank, perturbation, sampling: batches are what windows say, and shortcuts are really taken away."""

from pathlib import Path

import pytest
import torch

from omnisila.errors import TrainingError
from omnisila.scene_registry import SCENES
from omnisila.scenes.action import VIEW
from omnisila.scenes.extractor import SceneShard, SceneStream
from omnisila.scenes.sem import embedded_layouts
from omnisila.scenes.windows import WindowConfig, stack, windows
from omnisila.training.bank import FeatureBank, build_bank, load_bank, save_bank
from omnisila.training.perturb import PerturbConfig
from omnisila.training.sampling import BalancedSampler, Question

RATES_HZ = {"visual": 4.0, "objects": 2.0, "face": 1.0, "action": 4.0, "relation": 2.0, "background": 1.0}
ENTITIES = {"visual": 2, "objects": 2, "face": 2, "action": VIEW + 1, "relation": 2, "background": 1}


def shard(seconds: int, seed: int, view: bool = True) -> SceneShard:
    random = torch.Generator().manual_seed(seed)
    streams = {}
    for name, layout in embedded_layouts().items():
        count = int(seconds * RATES_HZ[name])
        mask = torch.rand(count, ENTITIES[name], generator=random) < 0.6
        if name in ("visual", "background"):
            mask[:] = True
        if name == "action":
            mask[:, VIEW] = view
        values = torch.randn(count, ENTITIES[name], layout.width, generator=random).half() * mask[..., None]
        streams[name] = SceneStream(0.0, RATES_HZ[name], values, mask)
    return SceneShard(0.0, float(seconds), streams, embedded_layouts())


SHARDS = (shard(3, 0), shard(2, 1), shard(1, 2, view=False))


@pytest.fixture
def bank() -> FeatureBank:
    return build_bank([(number, 0, one) for number, one in enumerate(SHARDS)], WindowConfig())


def test_a_batch_is_what_the_windows_are(bank: FeatureBank):
    direct = stack([window for one in SHARDS for window in windows([one], WindowConfig())])
    batch = bank.batch(torch.arange(len(bank)))
    assert len(bank) == 6
    for name in SCENES:
        mine, theirs = batch.scenes[name], direct.scenes[name]
        assert torch.equal(mine.mask, theirs.mask)
        assert torch.equal(mine.values, theirs.values)
    assert torch.equal(batch.visual.values, direct.visual.values)
    assert bank.clip.tolist() == [0, 0, 0, 1, 1, 2]
    assert bank.span(4).start_s == 1.0


def test_a_saved_bank_comes_back(bank: FeatureBank, tmp_path: Path):
    path = tmp_path / "bank.safetensors"
    assert load_bank(path) is None
    save_bank(path, bank)
    again = load_bank(path)
    assert again is not None
    assert all(torch.equal(again.rows[name], bank.rows[name]) for name in ("visual", *SCENES))
    assert torch.equal(again.span_s, bank.span_s)
    path.write_bytes(path.read_bytes()[:1000])
    assert load_bank(path) is None


KEEP = PerturbConfig(
    shorter=0, view_lost=0, view_lent=0, scene_lost=0, visual_lost=0, entity_lost=0, look_swapped=0
)  # fmt: skip


def changed(bank: FeatureBank, chosen: list[int], still: list[bool], **shares: float):
    perturb = KEEP.replace(**shares).build(bank, torch.tensor([0, 1, 2]))
    acts = torch.tensor([window < 4 for window in chosen])
    return perturb(bank.pick(torch.tensor(chosen)), torch.tensor(still), acts, torch.Generator().manual_seed(0))


def test_nothing_asked_nothing_changed(bank: FeatureBank):
    before, after = bank.pick(torch.arange(5)), changed(bank, [0, 1, 2, 3, 4], [False] * 5)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_still_fills_all_frames_and_borrows_motion(bank: FeatureBank):
    held = changed(bank, [5], [True])
    assert (held["visual"] > 0).all()
    assert (held["action"][:, :, VIEW] == 0).all()
    lent = changed(bank, [5] * 8, [True] * 8, view_lent=1.0)["action"][:, :, VIEW]
    own_rows = {row for window in (0, 1, 2) for row in bank.index["action"][window][:, VIEW].tolist()}
    assert (lent > 0).any()
    assert set(lent.flatten().tolist()) <= own_rows


def test_acts_swap_their_looks_among_each_other(bank: FeatureBank):
    before, after = bank.pick(torch.arange(5)), changed(bank, [0, 1, 2, 3, 4], [False] * 5, look_swapped=1.0)
    donors = [next(i for i in range(5) if torch.equal(before["visual"][i], row)) for row in after["visual"]]
    assert sorted(donors[:4]) == [0, 1, 2, 3]
    assert donors != list(range(5))
    assert donors[4] == 4
    assert torch.equal(after["background"], before["background"][donors])
    assert torch.equal(after["action"], before["action"])


def test_motion_is_taken_from_clips_and_scenes_are_lost(bank: FeatureBank):
    assert (changed(bank, [0, 1], [False] * 2, view_lost=1.0)["action"][:, :, VIEW] == 0).all()
    lost = changed(bank, [0, 1], [False] * 2, scene_lost=1.0)
    assert all((lost[name] == 0).all() for name in SCENES)
    assert (lost["visual"][1] > 0).all()


def test_shorter_windows_lose_only_context(bank: FeatureBank):
    seen = changed(bank, [1] * 30, [False] * 30, shorter=1.0)["visual"][:, :, 0] > 0
    assert seen[:, 2:6].all()
    assert {tuple(row.tolist()) for row in seen} == {
        (False, False, *[True] * 6), (*[True] * 6, False, False), (False, False, *[True] * 4, False, False)
    }  # fmt: skip


def test_data_sets_labels_and_footage_are_drawn_evenly():
    asked = [Question(i, "implicit", "Normal") for i in range(90)]
    asked += [Question(90 + i, "implicit", "Fire") for i in range(10)] + [Question(100, "explicit", "positive")]
    sets = ["a"] * 100 + ["b"]
    footage = ["long"] * 80 + ["short"] * 10 + ["fire"] * 10 + ["face"]
    weights = {("implicit", "a"): 3.0, ("explicit", "b"): 1.0, ("explicit", "a"): 5.0}
    sampler = BalancedSampler(asked, sets, footage, weights)
    drawn = sampler.draw(4000, torch.Generator().manual_seed(0))
    windows = drawn.windows
    assert float((windows == 100).float().mean()) == pytest.approx(0.25, abs=0.03)
    normal, fire = float((windows < 90).float().mean()), float(((windows >= 90) & (windows < 100)).float().mean())
    assert normal == pytest.approx(fire, abs=0.04)
    assert float((windows < 80).float().mean()) == pytest.approx(normal / 2, abs=0.03)
    assert drawn.label[0] == asked[int(windows[0])].label


def test_nothing_to_draw_is_an_error():
    with pytest.raises(TrainingError, match="Give data sets that set_weights names"):
        BalancedSampler([Question(0, "implicit", "Fire")], ["a"], ["g"], {})
