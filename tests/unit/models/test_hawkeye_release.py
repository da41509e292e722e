"""The released Hawkeye against loops; the authors' checkpoint names and feature files."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from omnisila.errors import InputError, WeightsError
from omnisila.models.clip_graph import ClipScenes, clip_graph
from omnisila.models.hawkeye_files import ClipFiles, clip_inputs, load_release, read_poses, read_triplets
from omnisila.models.hawkeye_release import HawkeyeRelease, HawkeyeReleaseConfig, focal_term
from omnisila.models.likelihood import answer_likelihood
from omnisila.scenes.extractor import Entities

WIDTH, FEEDFORWARD, HEADS = 24, 32, 2


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def model(make_llava) -> HawkeyeRelease:
    """A tiny release before a tiny Video-LLaVA."""
    llm = make_llava()
    return HawkeyeReleaseConfig(width=WIDTH, num_heads=HEADS, feedforward=FEEDFORWARD).build(llm).eval()


def seen(batch: int) -> Entities:
    """Two frames of five patches as a tiny visual tower gives them."""
    return Entities(torch.randn(batch, 2, 5, 16), torch.ones(batch, 2, 5, dtype=torch.bool))


def written(folder: Any, name: str, poses: np.ndarray, triplets: np.ndarray) -> ClipFiles:
    files = ClipFiles(folder / f"{name}_pose.npy", folder / f"{name}_scene.npy")
    np.save(files.pose, poses)
    np.save(files.scene, triplets)
    return files


def triplet(predicate: int, subject: int, thing: int) -> np.ndarray:
    row = np.full(353, 0.001, np.float32)
    row[[predicate, 51 + subject, 202 + thing]] = (0.7, 0.8, 0.9)
    return row


@pytest.fixture
def clips(tmp_path) -> list[ClipFiles]:
    """A clip with two people and a man named twice, one without anything, and one with too much of both."""
    random = np.random.default_rng(0)
    two = np.stack([triplet(29, 78, 38), triplet(21, 78, 4)])
    many = np.stack([triplet(i, i, i + 20) for i in range(9)])
    nobody, nothing = np.zeros((0, 17, 5), np.float32), np.zeros((0, 353), np.float32)
    return [
        written(tmp_path, "two", random.random((2, 17, 5), np.float32), two),
        written(tmp_path, "none", nobody, nothing),
        written(tmp_path, "many", random.random((9, 17, 5)), many),
    ]


def loop(model: HawkeyeRelease, files: ClipFiles) -> torch.Tensor:
    """The released forward of one clip, with lists and loops."""
    poses, rows = torch.zeros(5, 17, 5), torch.zeros(5, 353)
    people, triplets = read_poses(files.pose)[:5], read_triplets(files.scene)[:5]
    poses[: len(people)], rows[: len(triplets)] = people, triplets
    names: list[int] = []
    x: list[torch.Tensor] = []
    edges: list[tuple[int, int, torch.Tensor]] = []
    for row in rows:
        for part in (row[51:202], row[202:]):
            if int(part.argmax()) not in names:
                names.append(int(part.argmax()))
                x.append(part)
        ends = [names.index(int(part.argmax())) for part in (row[51:202], row[202:])]
        edges.append((ends[0], ends[1], row[:51]))
    edges += [(i, i, torch.zeros(51)) for i in range(len(names))]
    for layer in model.scene_tower.layers:
        gathered = [sum(x[s] + layer.edge(e) for s, t, e in edges if t == i) for i in range(len(names))]
        x = [layer.linear(one) for one in gathered]
    scene = model.scene_tower.projector(model.scene_tower.linear(torch.stack(x)))
    h = torch.cat([model.pose_tower(poses.flatten(1)), scene])
    gates = model.moe.router(h).sigmoid()
    summed = 0
    for i, expert in enumerate(model.moe.experts):
        normed = expert.attention_norm(h)
        heads = []
        for head in torch.arange(WIDTH).chunk(HEADS):
            q, k, v = (part(normed)[:, head] for part in (expert.query, expert.key, expert.value))
            heads.append((q @ k.T / len(head) ** 0.5).softmax(-1) @ v)
        state = h + expert.attention_out(torch.cat(heads, dim=-1))
        normed = expert.feedforward_norm(state)
        state = state + expert.down(F.silu(expert.gate(normed)) * expert.up(normed))
        summed = summed + state * (gates[:, i] / gates.sum(-1))[:, None]
    return model.projector(model.moe.out(summed))[:30]


@torch.no_grad()
def test_the_batched_release_is_the_loop(model, clips):
    found = model.perceive(clip_inputs(clips), seen(3))
    assert found.present.sum(1).tolist() == [5 + 4, 5 + 1, 5 + 10]  # man, door, bag and N/A; N/A alone; ten
    for row, files in enumerate(clips):
        mine = found.scene_tokens[row][found.present[row]]
        torch.testing.assert_close(mine, loop(model, files), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(found.probabilities[:, 0, 1] + found.probabilities[:, 0, 2], torch.ones(3))


def test_objects_stand_in_the_order_of_their_first_mention():
    classes = torch.tensor([[3, 7], [7, 3], [5, 5]])
    ends = F.one_hot(classes, 151).float()
    predicates = F.one_hot(torch.tensor([1, 2, 4]), 51).float()
    graph = clip_graph(ClipScenes(torch.zeros(1, 5, 85), predicates[None], ends[None, :, 0], ends[None, :, 1]))
    assert graph.present[0].tolist() == [True, True, False, False, True, False]
    there = graph.present[0]
    assert graph.nodes[0][there].argmax(-1).tolist() == [3, 7, 5]
    assert graph.edges[0][there][:, there].tolist() == [[1, 1, 0], [1, 1, 0], [0, 0, 2]]  # the twice named: two loops
    assert graph.predicates[0, 4].argmax() == 4


def test_scene_tokens_follow_the_visual_ones_as_many_as_a_clip_has(model, clips):
    scenes, visual = clip_inputs(clips), seen(3)
    llm: Any = model.video_llm
    prompts = model.prompts(["Is it anomalous?"] * 3, scenes, visual)
    assert [prompt.count(llm.scene_id) for prompt in prompts] == [9, 6, 15]
    for prompt in prompts:
        first = prompt.index(llm.scene_id)
        assert prompt[first - 10 : first] == [llm.video_id] * 10
    likelihood = answer_likelihood(model, scenes, visual, ["Is it anomalous?"] * 3, ["Yes", "No"])
    loss = model.total_loss(-likelihood.log_probs.mean(), likelihood.perception)
    loss.backward()
    assert all(p.grad is not None for name, p in model.named_parameters() if not name.startswith("video_llm."))
    # a clip is answered alone as in a batch whose prompts are longer
    alone = answer_likelihood(
        model, clip_inputs(clips[:1]), Entities(visual.values[:1], visual.mask[:1]), ["Is it anomalous?"], ["Yes", "No"]
    )
    torch.testing.assert_close(alone.log_probs, likelihood.log_probs[:1], atol=1e-3, rtol=1e-3)


def test_no_more_tokens_than_the_release_keeps(model, clips):
    model.most_tokens = 7
    scenes, visual = clip_inputs(clips), seen(3)
    assert model.perceive(scenes, visual).present.sum(1).tolist() == [7, 6, 7]
    llm: Any = model.video_llm
    assert [prompt.count(llm.scene_id) for prompt in model.prompts(["?"] * 3, scenes, visual)] == [7, 6, 7]


def test_the_focal_term_hand_worked():
    # CE = ln 2, p = 1/2: (0.25 * 0.25 + 0.75 * 0.25) ln 2
    assert focal_term(torch.tensor(2.0).log()).item() == pytest.approx(0.25 * np.log(2))


def published() -> dict[str, torch.Tensor]:
    """The tensors of a checkpoint as peft and LLaVA name them."""
    linear: dict[str, tuple[int, ...]] = {
        "pose_tower.pose_projector": (WIDTH, 85), "pose_projector": (WIDTH, WIDTH),
        "scene_tower.conv_layers.0.linear": (WIDTH, 151), "scene_tower.conv_layers.0.edge_attr_linear": (151, 51),
        "scene_tower.conv_layers.1.linear": (WIDTH, WIDTH), "scene_tower.conv_layers.1.edge_attr_linear": (WIDTH, 51),
        "scene_tower.linear": (WIDTH, WIDTH), "scene_projector": (WIDTH, WIDTH),
        "moe.routers.pose.fc1": (2, WIDTH), "moe.routers.pose.fc2": (2, 2),
        "moe.clip_proj1.pose.0": (WIDTH, WIDTH), "moe.clip_proj2.pose.0": (WIDTH, WIDTH),
        "moe_projector": (WIDTH, WIDTH), "mm_projector.0": (WIDTH, 16), "mm_projector.2": (WIDTH, WIDTH),
    }  # fmt: skip
    for expert in "01":
        for name in ("wq", "wk", "wv", "wo"):
            linear[f"moe.resample_layers.{expert}.0.attention.{name}"] = (WIDTH, WIDTH)
    shapes: dict[str, tuple[int, ...]] = {}
    for name, (out, into) in linear.items():
        shapes |= {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
    for expert in "01":
        layer = f"moe.resample_layers.{expert}.0"
        shapes |= {f"{layer}.attention_norm.weight": (WIDTH,), f"{layer}.ffn_norm.weight": (WIDTH,)}
        shapes |= {f"{layer}.feed_forward.{name}.weight": (FEEDFORWARD, WIDTH) for name in ("w1", "w3")}
        shapes[f"{layer}.feed_forward.w2.weight"] = (WIDTH, FEEDFORWARD)
    for name in ("clip_proj1", "clip_proj2"):
        shapes |= {f"moe.{name}.pose.1.weight": (WIDTH,), f"moe.{name}.pose.1.bias": (WIDTH,)}
    shapes |= {"moe.resample_tokens.pose": (1, 30, WIDTH)}
    shapes |= {f"moe.{name}.pose": (1, 1, WIDTH) for name in ("start_tag", "end_tag")}
    return {f"base_model.model.model.{name}": torch.randn(shape) for name, shape in shapes.items()}


def test_the_authors_checkpoint_fills_every_tensor(model, tmp_path):
    state = published()
    torch.save(state, tmp_path / "non_lora_trainables.bin")
    load_release(model, tmp_path)
    key = "base_model.model.model."
    assert torch.equal(model.moe.experts[1].gate.weight, state[f"{key}moe.resample_layers.1.0.feed_forward.w1.weight"])
    assert torch.equal(model.pose_tower[1].bias, state[f"{key}pose_projector.bias"])
    assert torch.equal(model.projector.weight, state[f"{key}moe_projector.weight"])


def test_another_checkpoint_is_named(model, tmp_path):
    state = published()
    del state["base_model.model.model.moe_projector.bias"]
    state["base_model.model.model.audio_tower.weight"] = torch.zeros(1)
    torch.save(state, tmp_path / "non_lora_trainables.bin")
    with pytest.raises(WeightsError, match=r"1 missing \(projector.bias\); 1 left over \(audio_tower.weight\)"):
        load_release(model, tmp_path)


def test_feature_files_of_wrong_shape_or_without_numbers_are_one_clear_line(tmp_path):
    path = tmp_path / "f.npy"
    with pytest.raises(InputError, match=r"f\.npy: No such file"):
        read_poses(path)
    for content, said in (
        (np.zeros((2, 17, 3)), r"shape \(2, 17, 3\), wanted pose_feat \(people, 17, 5\)"),
        (np.zeros((2, 353)), r"shape \(2, 353\), wanted pose_feat"),
        (np.full((2, 17, 5), np.nan), r"value at \(0, 0, 0\) is nan, wanted finite numbers"),
        (np.array([["a"]]), "no array of numbers"),
        (np.array([{}], dtype=object), "Wanted pose_feat"),
    ):
        np.save(path, content)
        with pytest.raises(InputError, match=said) as caught:
            read_poses(path)
        assert "\n" not in str(caught.value)
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"f\.npy"):
        read_triplets(path)
    np.save(path, np.array([]))  # nobody, as some tools write it
    assert read_poses(path).shape == (0, 17, 5)


@pytest.mark.parametrize("features", [torch.float32, torch.bfloat16])
def test_a_scene_side_in_pure_bfloat16_gives_nearly_the_same(model, clips, features):
    scenes = clip_inputs(clips)
    wanted = model.perceive(scenes, seen(3)).scene_tokens
    given = {name: Entities(scene.values.to(features), scene.mask) for name, scene in scenes.items()}
    found = model.bfloat16().perceive(given, seen(3)).scene_tokens
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, atol=0.05 * float(wanted.detach().abs().max()), rtol=0.0)
