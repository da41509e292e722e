"""The background with its foreground blacked out: boxes, subtraction, cuts, chunks, colours."""

import pytest
import torch
from torch import Tensor

from omnisila.scenes.background import LAYOUT, BackgroundState, colours
from omnisila.scenes.sem import SceneEnrichedModeling

NOWHERE = torch.zeros(0, 4)
LEFT_HALF = torch.tensor([[0.0, 0.0, 0.5, 1.0]])


@pytest.fixture(scope="module")
def place() -> Tensor:
    """A textured place, (112, 112, 3)."""
    coarse = torch.randint(40, 200, (1, 3, 7, 7), generator=torch.Generator().manual_seed(0)).float()
    picture = torch.nn.functional.interpolate(coarse, (112, 112), mode="bilinear")[0]
    return picture.permute(1, 2, 0).round().to(torch.uint8)


def walk(place: Tensor, steps: int) -> Tensor:
    """Somebody white walks through the place from the left, 16 px a step."""
    pictures = place.repeat(steps, 1, 1, 1)
    for step in range(steps):
        pictures[step, 30:90, 16 * step : 16 * step + 14] = 255
    return pictures


def features(values: Tensor) -> Tensor:
    return torch.cat([LAYOUT.read(values, "mean"), LAYOUT.read(values, "max")], -1)


def test_what_happens_inside_a_box_is_not_seen(sem: SceneEnrichedModeling, place: Tensor) -> None:
    busy = place.clone()
    busy[:, :54] = 255 - busy[:, :54]
    values, mask, _ = sem.extractors["background"](place[None], [LEFT_HALF], BackgroundState())
    others, _, _ = sem.extractors["background"](busy[None], [LEFT_HALF], BackgroundState())
    assert mask.all()
    torch.testing.assert_close(features(values), features(others))
    assert LAYOUT.read(values, "foreground")[0, 0, 0] == pytest.approx(0.5)
    seen, _, _ = sem.extractors["background"](busy[None], [NOWHERE], BackgroundState())
    assert not torch.allclose(features(values), features(seen), atol=0.1)


def test_who_moves_before_a_known_background_is_blacked_out(sem: SceneEnrichedModeling, place: Tensor) -> None:
    _, _, state = sem.extractors["background"](place.repeat(4, 1, 1, 1), [NOWHERE] * 4, BackgroundState())
    values, _, _ = sem.extractors["background"](walk(place, 3)[2:], [NOWHERE], state)
    share, change = LAYOUT.read(values, "foreground")[0, 0].tolist()
    assert 60 * 14 / 112**2 <= share < 1.3 * 60 * 14 / 112**2
    assert change > 0.01
    black = place.clone()
    black[30:90, 32:46] = 0
    wanted, _, _ = sem.extractors["background"](black[None], [NOWHERE], BackgroundState())
    similarity = torch.cosine_similarity(features(values), features(wanted), dim=-1)
    assert similarity > 0.9


def test_a_first_frame_and_a_cut_have_no_moving_foreground(sem: SceneEnrichedModeling, place: Tensor) -> None:
    pictures = torch.cat([place.repeat(4, 1, 1, 1), 255 - place[None]])
    values, _, _ = sem.extractors["background"](pictures, [NOWHERE] * 5, BackgroundState())
    shares, changes = LAYOUT.read(values, "foreground")[:, 0].unbind(1)
    assert shares.tolist() == [0.0] * 5
    assert changes[:4].max() < 1e-6
    assert changes[4] > 0.2


def test_chunks_give_what_the_whole_gives(sem: SceneEnrichedModeling, place: Tensor) -> None:
    pictures = walk(place, 6)
    whole, _, _ = sem.extractors["background"](pictures, [NOWHERE] * 6, BackgroundState())
    state, parts = BackgroundState(), []
    for part in (pictures[:2], pictures[2:2], pictures[2:]):
        values, _, state = sem.extractors["background"](part, [NOWHERE] * len(part), state)
        parts.append(values)
    torch.testing.assert_close(torch.cat(parts), whole, atol=2e-3, rtol=0.0)
    assert state.samples == 6


def test_colours_tell_flames_and_smoke_from_lamps_and_sky() -> None:
    shades = {"flame": (1.0, 0.6, 0.1), "red lamp": (1.0, 0.1, 0.1), "smoke": (0.6, 0.6, 0.62), "sky": (0.4, 0.6, 0.9)}
    pictures = torch.tensor(list(shades.values()))[:, :, None, None].expand(-1, 3, 8, 8)
    described = colours(pictures)
    torch.testing.assert_close(described[:, :3], pictures[:, :, 0, 0])
    assert described[:, 6].tolist() == [1.0, 0.0, 0.0, 0.0]
    assert described[:, 7].tolist() == [0.0, 0.0, 1.0, 0.0]
