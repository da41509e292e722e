"""Grouping by tags against plain loops: peaks, matching by trying every assignment, filled joints, quarter offsets."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from omnisila.scenes.nets.pose_grouping import (
    JOINTS,
    ORDER,
    Grouped,
    GroupingConfig,
    Peaks,
    group_people,
    peaks,
    places,
    refine_people,
)

CONFIG = GroupingConfig()
ROWS, COLUMNS = 40, 56


def planted(seed: int, people: int, noise: float = 0.2) -> tuple[Tensor, Tensor]:
    """Heat (17, rows, columns) with a hill for most joints of each person, and tags (17, 2, rows, columns)."""
    random = np.random.default_rng(seed)
    rows, columns = torch.meshgrid(torch.arange(ROWS), torch.arange(COLUMNS), indexing="ij")
    heat = 1e-3 * torch.from_numpy(random.random((JOINTS, ROWS, COLUMNS)))
    tags = torch.zeros(JOINTS, 2, ROWS, COLUMNS)
    for _ in range(people):
        tag = 3 * random.normal()
        for joint in np.flatnonzero(random.random(JOINTS) < 0.7):
            x, y, score = random.uniform(0, COLUMNS), random.uniform(0, ROWS), random.uniform(0.05, 1.0)
            squared = (columns - x) ** 2 + (rows - y) ** 2
            heat[joint] = torch.maximum(heat[joint], score * torch.exp(-squared / 8))
            tags[joint][:, squared < 40] = tag + noise * random.normal()
    # no two cells have one tag, or assignments would tie
    return heat.float(), tags + torch.from_numpy(0.02 * random.normal(size=tags.shape)).float()


def of_one(found: Peaks) -> Peaks:
    return Peaks(*(values[0] for values in found))


def group(heat: Tensor, tags: Tensor) -> Grouped:
    return group_people(of_one(peaks(heat[None], tags[None], CONFIG)), CONFIG)


def assignments(
    found: Peaks, joint: int, ranks: list[int], means: list[np.ndarray]
) -> list[tuple[float, dict[int, int]]]:
    """Cost of every way to give a joint's peaks to people, with the pairs near enough to stand: rank -> person."""
    scores, tags = found.scores[joint].tolist(), found.tags[joint].numpy()
    pairs, ways = min(len(ranks), len(means)), []
    for some in itertools.permutations(ranks, pairs):
        for owners in itertools.combinations(range(len(means)), pairs):
            apart = [math.dist(tags[rank], means[owner]) for rank, owner in zip(some, owners, strict=True)]
            cost = sum(100 * round(distance) - scores[rank] for rank, distance in zip(some, apart, strict=True))
            near = zip(some, owners, apart, strict=True)
            ways.append((cost, {rank: owner for rank, owner, distance in near if distance < CONFIG.max_tag_distance}))
    return ways


@pytest.mark.parametrize("seed", range(12))
def test_every_joint_goes_to_people_by_one_of_the_best_assignments(seed: int) -> None:
    heat, tags = planted(seed, people=seed % 4 + 1, noise=0.3)
    found = of_one(peaks(heat[None], tags[None], CONFIG))
    people = group_people(found, CONFIG)
    begun: list[list[tuple[int, int]]] = []  # of each person, the joints and ranks so far
    for joint in ORDER:
        ranks = [rank for rank, score in enumerate(found.scores[joint].tolist()) if score > CONFIG.min_score]
        cells = {(int(found.columns[joint, rank]), int(found.rows[joint, rank])): rank for rank in ranks}
        taken = {
            cells[int(people.columns[index, joint]), int(people.rows[index, joint])]: index
            for index in torch.nonzero(people.scores[:, joint])[:, 0].tolist()
        }
        assert sorted(taken) == ranks
        means = [np.mean([found.tags[j, rank].numpy() for j, rank in person], axis=0) for person in begun]
        ways = assignments(found, joint, ranks, means)
        old = {rank: index for rank, index in taken.items() if index < len(begun)}
        assert min(cost for cost, near in ways if near == old) == pytest.approx(min(ways, key=lambda way: way[0])[0])
        assert sorted(set(taken.values()) - set(old.values())) == list(
            range(len(begun), len(begun) + len(taken) - len(old))
        )
        begun += [[] for _ in range(len(taken) - len(old))]
        for rank, index in taken.items():
            begun[index].append((joint, rank))
            assert people.scores[index, joint] == found.scores[joint, rank]
            torch.testing.assert_close(people.tags[index, joint], found.tags[joint, rank])
    assert len(begun) == len(people.scores)


# peaks of the first joints, scores and tags, and the ranks of each person's peaks as the published evaluation (munkres
# over float32 costs) gives them; a term for the distance made four people of the first and three of the second
PUBLISHED = [
    (
        [[0.75, 0.63, 0.56], [0.97, 0.29, 0.19], [0.9, 0.69, 0.51]],
        [[1.2, 1.5, -0.3], [0.3, -0.7, 1.2], [-1.1, 0.8, 2.1]],
        {(0, 0, 1), (1, 2, 2), (2, 1, 0)},
    ),
    (
        [[0.49, 0.27, 0.19], [0.89, 0.87, 0.39]],
        [[-3.1, 2.2, 2.1], [1.2, 2.3, -3.1]],
        {(0, 2), (1, -1), (2, 1), (-1, 0)},
    ),
]


@pytest.mark.parametrize(("scores", "tags", "people"), PUBLISHED)
def test_ties_go_as_in_the_published_evaluation(
    scores: list[list[float]], tags: list[list[float]], people: set[tuple[int, ...]]
) -> None:
    joints, count = len(scores), len(scores[0])
    cells = torch.arange(count).expand(JOINTS, count)
    found = Peaks(cells, cells, torch.zeros(JOINTS, count), torch.zeros(JOINTS, count, 1))
    found.scores[:joints], found.tags[:joints, :, 0] = torch.tensor(scores), torch.tensor(tags)
    got = group_people(found, CONFIG)
    ranks = torch.where(got.scores > 0, got.columns, -1)[:, :joints]
    assert {tuple(row) for row in ranks.tolist()} == people


def test_near_people_do_not_take_each_others_joints() -> None:
    """The surer peak is a little nearer to both people; matching one by one would give it to the first."""
    scores = torch.zeros(JOINTS, 2)
    scores[:2] = torch.tensor([[0.9, 0.8], [0.9, 0.8]])
    tags = torch.zeros(JOINTS, 2, 1)
    tags[0, :, 0] = torch.tensor([0.0, 0.9])
    tags[1, :, 0] = torch.tensor([0.45, -0.45])
    cells = torch.arange(2).expand(JOINTS, 2)
    people = group_people(Peaks(cells, cells, scores, tags), CONFIG)
    assert people.columns[:, :2].tolist() == [[0, 1], [1, 0]]


def test_a_peak_without_a_number_is_no_peak() -> None:
    scores, tags = torch.full((JOINTS, 1), 0.9), torch.zeros(JOINTS, 1, 2)
    scores[0], tags[1, 0, 1] = torch.nan, torch.inf
    cells = torch.zeros(JOINTS, 1, dtype=torch.long)
    people = group_people(Peaks(cells, cells, scores, tags), CONFIG)
    assert people.scores[:, :3].tolist() == [[0.0, 0.0, pytest.approx(0.9)]]


def test_no_peaks_are_nobody() -> None:
    people = group(torch.zeros(JOINTS, ROWS, COLUMNS), torch.zeros(JOINTS, 1, ROWS, COLUMNS))
    assert people.scores.shape == (0, JOINTS)
    assert people.tags.shape == (0, JOINTS, 1)
    assert places(people, torch.zeros(JOINTS, ROWS, COLUMNS)).shape == (0, JOINTS, 2)


def test_peaks_are_the_largest_cells_of_their_windows() -> None:
    heat, tags = planted(3, people=3)
    found = of_one(peaks(heat[None], tags[None], CONFIG))
    for joint in range(JOINTS):
        wanted = [
            (float(heat[joint, row, column]), column, row)
            for row in range(ROWS)
            for column in range(COLUMNS)
            if heat[joint, row, column] == heat[joint, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3].max()
        ]
        wanted = sorted(wanted, reverse=True)[: CONFIG.max_people]
        got = zip(found.scores[joint].tolist(), found.columns[joint].tolist(), found.rows[joint].tolist(), strict=True)
        assert list(got) == wanted
        for rank, (_, column, row) in enumerate(wanted):
            torch.testing.assert_close(found.tags[joint, rank], tags[joint, :, row, column])


def test_a_flat_hill_is_one_peak() -> None:
    heat = torch.zeros(1, JOINTS, ROWS, COLUMNS)
    heat[..., 10:12, 20:23] = 0.5
    found = peaks(heat, torch.zeros(1, JOINTS, 1, ROWS, COLUMNS), CONFIG)
    assert (found.scores > CONFIG.min_score).sum(2).eq(1).all()
    assert found.columns[0, 0, 0] == 20
    assert found.rows[0, 0, 0] == 10


def test_fewer_cells_than_peaks_are_enough() -> None:
    found = peaks(torch.rand(1, JOINTS, 2, 3), torch.zeros(1, JOINTS, 1, 2, 3), CONFIG)
    assert found.scores.shape == (1, JOINTS, 6)


@pytest.mark.parametrize("seed", [0, 1])
def test_absent_joints_come_from_the_best_cell_with_a_near_tag(seed: int) -> None:
    heat, tags = planted(seed, people=2)
    people = group(heat, tags)
    filled = refine_people(people, heat, tags)
    for person in range(len(people.scores)):
        own = [joint for joint in range(JOINTS) if people.scores[person, joint] > 0]
        mean = people.tags[person, own].mean(0)
        for joint in range(JOINTS):
            if joint in own:
                assert filled.scores[person, joint] == people.scores[person, joint]
                assert filled.columns[person, joint] == people.columns[person, joint]
                continue
            value = heat[joint] - (tags[joint] - mean[:, None, None]).square().sum(0).sqrt().round()
            row, column = divmod(int(value.argmax()), COLUMNS)
            assert (int(filled.columns[person, joint]), int(filled.rows[person, joint])) == (column, row)
            assert filled.scores[person, joint] == heat[joint, row, column]
            assert filled.tags[person, joint].eq(0).all()


def test_places_lie_a_quarter_towards_the_larger_neighbour() -> None:
    heat, tags = planted(5, people=2)
    people = group(heat, tags)
    for person, found in enumerate(places(people, heat)):
        for joint in range(JOINTS):
            column, row = int(people.columns[person, joint]), int(people.rows[person, joint])
            ahead, behind = heat[joint, row, min(column + 1, COLUMNS - 1)], heat[joint, row, max(column - 1, 0)]
            below, above = heat[joint, min(row + 1, ROWS - 1), column], heat[joint, max(row - 1, 0), column]
            assert found[joint, 0] == column + (0.75 if ahead > behind else 0.25)
            assert found[joint, 1] == row + (0.75 if below > above else 0.25)
