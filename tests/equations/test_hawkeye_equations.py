"""Hawkeye Eqs. (1) to (7) against plain loops and hand-worked graphs."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnisila.errors import InputError
from omnisila.models.asg import LIMBS, ActionAwareLayer, CrossAttention, GraphAttention
from omnisila.models.bh_moe import BHMoEConfig, SceneSequence, balancing_constraint_loss, weighted_importance
from omnisila.models.graph_inputs import JOINTS, FrameTokens, PatchGrid, Triplets
from omnisila.models.org import (
    Graph,
    MaskGTN,
    normalised_adjacency,
    object_aware_masking,
    triplet_graph,
)

WIDTH = 6


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def shaken(module: nn.Module) -> None:
    """Parameters that start at 0 or 1 would hide a missing factor."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    module.requires_grad_(False)


def layer_norm(values: Tensor, norm: nn.LayerNorm) -> Tensor:
    centred = values - values.mean()
    return centred / (centred.square().mean() + norm.eps).sqrt() * norm.weight + norm.bias


def softmax(scores: list[float]) -> list[float]:
    total = sum(math.exp(score) for score in scores)
    return [math.exp(score) / total for score in scores]


def test_eq_1_gathers_from_limbs_and_the_joint_itself():
    attention = GraphAttention(WIDTH)
    shaken(attention)
    h, visible = torch.randn(2, 3, JOINTS, WIDTH), torch.rand(2, 3, JOINTS) < 0.7
    found = attention(h, visible)
    w, w_out = attention.w.weight, attention.w_out.weight
    for frame in range(2):
        for person in range(3):
            nodes = h[frame, person]
            for k in range(JOINTS):
                near = {k} | {b for a, b in LIMBS if a == k} | {a for a, b in LIMBS if b == k}
                near = [j for j in sorted(near) if visible[frame, person, j]]
                scores = [float((w @ nodes[k]) @ (w @ nodes[j])) / math.sqrt(WIDTH) for j in near]
                gathered = sum((a * nodes[j] for a, j in zip(softmax(scores), near, strict=True)), torch.zeros(WIDTH))
                wanted = F.relu(w_out @ torch.cat([gathered, nodes[k]]))
                torch.testing.assert_close(found[frame, person, k], wanted, atol=1e-5, rtol=1e-4)


def test_eq_1_hand_worked_on_a_knee():
    # W = 0 makes all weights equal; the left knee (13) is joined to ankle (15) and hip (11).
    attention = GraphAttention(1)
    with torch.no_grad():
        attention.w.weight.zero_()
        attention.w_out.weight.copy_(torch.tensor([[1.0, 10.0]]))
    h = torch.arange(float(JOINTS)).view(1, JOINTS, 1)
    found = attention(h, torch.ones(1, JOINTS, dtype=torch.bool))
    assert found[0, 13, 0].item() == pytest.approx((13 + 15 + 11) / 3 + 10 * 13)


def test_the_skeleton_is_coco_s():
    assert len({frozenset(limb) for limb in LIMBS}) == 19
    neighbours = GraphAttention(1).neighbours
    assert torch.equal(neighbours, neighbours.T)
    assert int(neighbours.sum()) == 2 * 19 + JOINTS


def test_x_c_is_scaled_attention_to_the_people_who_are_there():
    block = CrossAttention(WIDTH)
    shaken(block)
    video, people = torch.randn(2, 4, WIDTH), torch.randn(2, 3, WIDTH)
    seen = torch.tensor([[True, False, True], [False, False, False]])
    found = block(video, people, seen)
    assert torch.equal(found[1], video[1])
    for t in range(4):
        scores = [float(block.queries(video[0, t]) @ block.keys(people[0, j])) / math.sqrt(WIDTH) for j in (0, 2)]
        mixed = sum(a * block.values(people[0, j]) for a, j in zip(softmax(scores), (0, 2), strict=True))
        torch.testing.assert_close(found[0, t], video[0, t] + mixed, atol=1e-5, rtol=1e-4)


def test_eqs_2_and_3_norm_after_the_residual():
    layer = ActionAwareLayer(WIDTH, num_heads=2, feedforward=8).eval()
    shaken(layer)
    x_c, present = torch.randn(2, 4, WIDTH), torch.ones(2, 4, dtype=torch.bool)
    present[1, 2:] = False
    found, depth = layer(x_c, present), WIDTH // 2
    for b in range(2):
        there = [t for t in range(4) if present[b, t]]
        for t in there:
            queries, keys, values = layer.queries_keys_values(x_c[b]).split(WIDTH, dim=-1)
            heads = []
            for head in (slice(0, depth), slice(depth, WIDTH)):
                scores = [float(queries[t, head] @ keys[j, head]) / math.sqrt(depth) for j in there]
                heads.append(sum(a * values[j, head] for a, j in zip(softmax(scores), there, strict=True)))
            x_prime = layer_norm(x_c[b, t] + layer.attention_out(torch.cat(heads)), layer.attention_norm)
            wanted = layer_norm(x_prime + layer.ffn(x_prime), layer.ffn_norm)
            torch.testing.assert_close(found[b, t], wanted, atol=1e-5, rtol=1e-4)


def triplets(named: list[tuple[int, int, int]], boxes: dict[int, list[float]], classes: int = 4) -> Triplets:
    """One frame of (subject, predicate, object); a class has one box."""
    subjects, predicates, objects = (torch.tensor(one) for one in zip(*named, strict=True))
    ends = torch.cat([subjects, objects])
    return Triplets(
        F.one_hot(ends, classes).float()[None, None],
        F.one_hot(predicates, 3).float()[None, None],
        torch.tensor([boxes[int(end)] for end in ends])[None, None],
        torch.ones(1, 1, len(named), dtype=torch.bool),
    )


BOXES = {0: [0.0, 0.0, 0.4, 1.0], 1: [0.6, 0.0, 1.0, 1.0], 2: [0.2, 0.2, 0.3, 0.3], 3: [0.5, 0.5, 0.6, 0.6]}


def test_a_man_near_a_door_holding_a_bag_is_one_man():
    # Ends: man, man | door, bag; predicates: near, holding. The second man is the first one.
    graph = triplet_graph(triplets([(0, 0, 1), (0, 1, 2)], BOXES), min_overlap=0.5)
    assert graph.present[0, 0].tolist() == [True, False, True, True, True, True]
    assert {tuple(edge) for edge in graph.edges[0, 0].nonzero().tolist()} == {(0, 4), (4, 2), (0, 5), (5, 3)}


def test_a_triplet_that_names_one_object_twice_joins_it_to_its_predicate():
    graph = triplet_graph(triplets([(3, 0, 3)], BOXES), min_overlap=0.5)
    assert graph.present[0, 0].tolist() == [True, False, True]
    adjacency = normalised_adjacency(graph, torch.float32)[0, 0]
    assert torch.allclose(adjacency, torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.0, 0.0], [0.5, 0.0, 0.5]]))


def test_one_object_through_others_is_still_one():
    # Of three boxes in a row only neighbours overlap enough: 0.5 in IoU, the outer two 0.2.
    given = triplets([(0, 0, 0), (0, 0, 1)], BOXES)
    shifted = torch.tensor([[0.0, 0.0, 0.6, 1.0], [0.4, 0.0, 1.0, 1.0], [0.2, 0.0, 0.8, 1.0], [0.6, 0.0, 1.0, 1.0]])
    graph = triplet_graph(given._replace(end_boxes=shifted[None, None]), min_overlap=0.4)
    assert graph.present[0, 0].tolist() == [True, False, False, True, True, True]


def test_eq_4_hand_worked():
    # man - near - door: degrees with self-loops 2, 3, 2.
    graph = triplet_graph(triplets([(0, 0, 1)], BOXES), min_overlap=0.5)
    near = 1 / math.sqrt(6)
    wanted = torch.tensor([[1 / 2, 0.0, near], [0.0, 1 / 2, near], [near, near, 1 / 3]])
    torch.testing.assert_close(normalised_adjacency(graph, torch.float32)[0, 0], wanted)


def test_eq_4_against_loops():
    gtn = MaskGTN(WIDTH, num_layers=2, feedforward=8)
    shaken(gtn)
    edges, present = torch.rand(2, 3, 5, 5) < 0.4, torch.rand(2, 3, 5) < 0.7
    edges &= present.unsqueeze(-1) & present.unsqueeze(-2)
    nodes = torch.randn(2, 3, 5, WIDTH)
    found = gtn(nodes, Graph(edges, present))
    for b in range(2):
        for t in range(3):
            there = [i for i in range(5) if present[b, t, i]]
            joined = {
                (i, j): i == j or bool(edges[b, t, i, j]) or bool(edges[b, t, j, i]) for i in there for j in there
            }
            degree = {i: sum(joined[i, j] for j in there) for i in there}
            h = {i: nodes[b, t, i] for i in there}
            for layer in gtn.layers:
                h = {
                    i: F.relu(
                        layer.weight @ sum(h[j] / math.sqrt(degree[i] * degree[j]) for j in there if joined[i, j])
                    )
                    for i in there
                }
            for i in range(5):
                wanted = gtn.ffn(h[i]) if i in h else torch.zeros(WIDTH)
                torch.testing.assert_close(found[b, t, i], wanted, atol=1e-5, rtol=1e-4)


def test_object_aware_masking_keeps_the_patches_that_a_box_touches():
    grid = PatchGrid(rows=2, columns=2, class_tokens=1)
    video = FrameTokens(torch.arange(1.0, 6.0).view(1, 1, 5, 1), torch.ones(1, 1, 5, dtype=torch.bool))
    boxes = torch.tensor([[0.1, 0.1, 0.2, 0.9], [0.5, 0.0, 1.0, 0.5], [0.0, 0.0, 1.0, 1.0]])[None, None]
    x_m = object_aware_masking(video, boxes, torch.tensor([[[True, True, False]]]), grid.cells())
    # class token 1; patches 2 3 / 4 5: the first box touches 2 and 4, the second exactly 3, the third is nobody's
    assert x_m.values.flatten().tolist() == [0.0, 2.0, 3.0, 4.0, 0.0]
    assert x_m.box_means().flatten().tolist() == [3.0, 3.0, 0.0]


def test_boxes_are_found_in_the_part_of_the_frame_that_the_encoder_sees():
    # Of 200 x 100 pixels CLIP sees the middle square, columns 50 to 150; of 100 x 100 pixels everything.
    grid = PatchGrid(rows=2, columns=2, class_tokens=1, area=None)
    area = torch.tensor([[0.25, 0.0, 0.75, 1.0], [0.0, 0.0, 1.0, 1.0]])
    boxes = torch.tensor([[0.0, 0.0, 0.2, 1.0], [0.0, 0.6, 0.3, 1.0]]).expand(2, 1, 2, 4)
    located = grid.locate_boxes(boxes, area)
    torch.testing.assert_close(located[0, 0], torch.tensor([[-0.5, 0.0, -0.1, 1.0], [-0.5, 0.6, 0.1, 1.0]]))
    assert torch.equal(located[1], boxes[1])
    video = FrameTokens(torch.ones(2, 1, 5, 1), torch.ones(2, 1, 5, dtype=torch.bool))
    x_m = object_aware_masking(video, located, torch.ones(2, 1, 2, dtype=torch.bool), grid.cells())
    assert x_m.inside[:, 0].sum(-1).tolist() == [[0, 1], [2, 1]]
    assert x_m.box_means().flatten(1).tolist() == [[0.0, 1.0], [1.0, 1.0]]
    with pytest.raises(InputError, match="which part of the frame"):
        grid.locate_boxes(boxes, None)


def test_eq_5_is_the_normed_sum_of_experts_weighted_for_each_token():
    moe = BHMoEConfig(num_layers=1).build(WIDTH, num_heads=2, feedforward=8).eval()
    shaken(moe)
    present = torch.tensor([[True, True, False, True], [False, False, False, False]])
    h = SceneSequence(torch.randn(2, 4, WIDTH), present, torch.tensor([True, True, False, False]))
    y, weights = moe(h)
    assert (y[~present] == 0).all()
    assert (weights[~present] == 0).all()
    there = h.values[:1, [0, 1, 3]]  # the absent token must not matter
    outputs = [expert(there, torch.ones(1, 3, 3, dtype=torch.bool))[0] for expert in moe.experts]
    for row, token in enumerate((0, 1, 3)):
        shares = softmax([float(w @ h.values[0, token]) for w in moe.router.weight])
        assert weights[0, token].tolist() == pytest.approx(shares, abs=1e-5)
        wanted = layer_norm(sum(share * out[row] for share, out in zip(shares, outputs, strict=True)), moe.norm)
        torch.testing.assert_close(y[0, token], wanted, atol=1e-5, rtol=1e-4)


def importance(weights: Tensor, present: Tensor, is_action: Tensor, tau: float) -> list[list[float]]:
    """T of Eqs. (6) and (7) in plain numbers."""
    batch, tokens, experts = weights.shape
    there = [(m, j) for m in range(batch) for j in range(tokens) if present[m, j]]
    mean = {
        (i, kind): sum(float(weights[m, j, i]) for m, j in there if bool(is_action[j]) == kind)
        / max(sum(bool(is_action[j]) == kind for _, j in there), 1)
        for i in range(experts)
        for kind in (True, False)
    }
    return [
        [
            sum(mean[i, bool(is_action[j])] * math.exp(float(weights[m, j, i]) / tau) for n, j in there if n == m)
            for i in range(experts)
        ]
        for m in range(batch)
        if any(n == m for n, _ in there)
    ]


@pytest.mark.parametrize("tau", [1.0, 0.07])
def test_eqs_6_and_7_and_the_loss_against_plain_numbers(tau):
    weights, present = torch.randn(3, 5, 2).softmax(-1), torch.rand(3, 5) < 0.7
    present[2] = False
    weights = weights * present.unsqueeze(-1)
    is_action = torch.tensor([True, True, False, False, False])
    t = importance(weights, present, is_action, tau)
    torch.testing.assert_close(weighted_importance(weights, present, is_action, tau).exp(), torch.tensor(t))
    flat = [value for row in t for value in row]
    mu = sum(flat) / len(flat)
    variance = sum((value - mu) ** 2 for value in flat) / len(flat)
    printed = balancing_constraint_loss(weights, present, is_action, tau, dimensionless=False)
    assert float(printed) == pytest.approx(variance / mu, rel=1e-4)
    assert float(balancing_constraint_loss(weights, present, is_action, tau)) == pytest.approx(
        variance / mu**2, rel=1e-4
    )


def test_eq_7_a_sample_of_one_kind_has_the_product_as_printed():
    # One action token (0.8, 0.2): M = exp(w / tau), P = R^a = (0.8, 0.2).
    weights = torch.tensor([[[0.8, 0.2]]])
    found = weighted_importance(weights, torch.ones(1, 1, dtype=torch.bool), torch.tensor([True]), tau=0.5)
    assert found.exp()[0].tolist() == pytest.approx([0.8 * math.exp(1.6), 0.2 * math.exp(0.4)])


def test_l_bc_falls_as_the_experts_share_the_work():
    there, is_action = torch.ones(2, 4, dtype=torch.bool), torch.tensor([True, True, False, False])
    even, uneven = torch.full((2, 4, 2), 0.5), torch.tensor([0.9, 0.1]).expand(2, 4, 2)
    assert float(balancing_constraint_loss(even, there, is_action)) == pytest.approx(0.0, abs=1e-6)
    assert float(balancing_constraint_loss(uneven, there, is_action)) > 0.5
    scores = torch.tensor([0.3, -0.3]).expand(2, 4, 2).clone().requires_grad_()
    balancing_constraint_loss(scores.softmax(-1), there, is_action).backward()
    assert (scores.grad[..., 0] > 0).all()  # descent takes weight from the stronger expert


@pytest.mark.parametrize(
    ("dtype", "dimensionless"), [(torch.bfloat16, True), (torch.bfloat16, False), (torch.float16, True)]
)
def test_l_bc_is_finite_in_half_precision_even_where_one_expert_has_everything(dtype, dimensionless):
    scores = (torch.randn(2, 2000, 2) * 30).to(dtype).requires_grad_()
    there, is_action = torch.ones(2, 2000, dtype=torch.bool), torch.arange(2000) < 1900
    with torch.autocast("cpu", torch.bfloat16):
        loss = balancing_constraint_loss(scores.softmax(-1), there, is_action, dimensionless=dimensionless)
    loss.backward()
    assert loss.isfinite()
    assert scores.grad.isfinite().all()


def test_l_bc_of_nothing_is_zero_with_a_gradient():
    weights = torch.zeros(2, 3, 2, requires_grad=True)
    loss = balancing_constraint_loss(weights, torch.zeros(2, 3, dtype=torch.bool), torch.tensor([True, True, False]))
    loss.backward()
    assert loss.item() == 0.0
