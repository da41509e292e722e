"""RelTR: published names and shapes; outputs against a plain computation; batches; bfloat16; the best triplets."""

import argparse
import copy
import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from omnisila.errors import WeightsError
from omnisila.scenes.nets import visual_genome
from omnisila.scenes.nets.reltr import (
    OPEN_IMAGES,
    VISUAL_GENOME,
    Relations,
    RelTR,
    RelTRConfig,
    top_triplets,
)
from omnisila.scenes.nets.reltr_transformer import sine_positions

TINY = RelTRConfig(
    entity_classes=6, predicates=4, entity_queries=5, triplet_queries=7, width=16, heads=2, dense_width=24,
    encoder_layers=2, decoder_layers=2, backbone_filters=4, backbone_blocks=(2, 1, 1, 1), short_side_px=96,
    max_side_px=160,
)  # fmt: skip
State = dict[str, Tensor]


def published_shapes(entity_outputs: int, predicate_outputs: int) -> dict[str, tuple[int, ...]]:
    """Every tensor of ``checkpoint0149.pth`` by name, written out from what is published about it."""
    shapes: dict[str, tuple[int, ...]] = {}

    def linear(name: str, out: int, width: int) -> None:
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (out, width), (out,)

    def norm(name: str, width: int = 256) -> None:
        shapes[f"{name}.weight"] = shapes[f"{name}.bias"] = (width,)

    def statistics(name: str, width: int) -> None:
        norm(name, width)
        shapes[f"{name}.running_mean"] = shapes[f"{name}.running_var"] = (width,)

    def attention(name: str) -> None:
        shapes[f"{name}.in_proj_weight"], shapes[f"{name}.in_proj_bias"] = (768, 256), (768,)
        linear(f"{name}.out_proj", 256, 256)

    body = "backbone.0.body"
    shapes[f"{body}.conv1.weight"] = (64, 3, 7, 7)
    statistics(f"{body}.bn1", 64)
    entering = 64
    for stage, (filters, blocks) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3)), start=1):
        for block in range(blocks):
            at = f"{body}.layer{stage}.{block}"
            shapes[f"{at}.conv1.weight"] = (filters, entering, 1, 1)
            shapes[f"{at}.conv2.weight"] = (filters, filters, 3, 3)
            shapes[f"{at}.conv3.weight"] = (4 * filters, filters, 1, 1)
            for number, width in ((1, filters), (2, filters), (3, 4 * filters)):
                statistics(f"{at}.bn{number}", width)
            if block == 0:
                shapes[f"{at}.downsample.0.weight"] = (4 * filters, entering, 1, 1)
                statistics(f"{at}.downsample.1", 4 * filters)
            entering = 4 * filters
    shapes["input_proj.weight"], shapes["input_proj.bias"] = (256, 2048, 1, 1), (256,)
    for layer in range(6):
        at = f"transformer.encoder.layers.{layer}"
        attention(f"{at}.self_attn")
        linear(f"{at}.linear1", 2048, 256)
        linear(f"{at}.linear2", 256, 2048)
        norm(f"{at}.norm1")
        norm(f"{at}.norm2")
        at = f"transformer.decoder.layers.{layer}"
        for name in ("self_attn_entity", "cross_attn_entity", "self_attn_so", "cross_attn_sub", "cross_sub_entity",
                     "cross_attn_obj", "cross_obj_entity"):  # fmt: skip
            attention(f"{at}.{name}")
        norm(f"{at}.norm2_so")
        for role in ("entity", "sub", "obj"):
            linear(f"{at}.linear1_{role}", 2048, 256)
            linear(f"{at}.linear2_{role}", 256, 2048)
            for number in (1, 2, 3):
                norm(f"{at}.norm{number}_{role}")
    shapes |= {"entity_embed.weight": (100, 512), "triplet_embed.weight": (200, 768), "so_embed.weight": (2, 256)}
    for role in ("entity", "sub", "obj"):
        linear(f"{role}_class_embed", entity_outputs, 256)
        for layer, out in enumerate((256, 256, 4)):
            linear(f"{role}_bbox_embed.layers.{layer}", out, 256)
    linear("rel_class_embed.layers.0", 256, 640)
    linear("rel_class_embed.layers.1", predicate_outputs, 256)
    for convolution, normalisation, out, width in ((1, 3, 64, 2), (5, 7, 32, 64)):
        shapes[f"so_mask_conv.{convolution}.weight"] = (out, width, 3, 3)
        shapes[f"so_mask_conv.{convolution}.bias"] = (out,)
        statistics(f"so_mask_conv.{normalisation}", out)
        shapes[f"so_mask_conv.{normalisation}.num_batches_tracked"] = ()
    linear("so_mask_fc.0", 512, 2048)
    linear("so_mask_fc.2", 128, 512)
    return shapes


def checkpoint(path: Path, shapes: dict[str, tuple[int, ...]]) -> Path:
    """A file as the training script writes it; each tensor repeats one number, so that it stays small."""
    model = {
        name: (torch.tensor(150) if name.endswith("tracked") else torch.full((), 1e-3 * (1 + i % 7)).expand(shape))
        for i, (name, shape) in enumerate(shapes.items())
    }
    args = argparse.Namespace(dataset="vg", hidden_dim=256)
    torch.save({"model": model, "optimizer": {"state": {}}, "lr_scheduler": {}, "epoch": 149, "args": args}, path)
    return path


@pytest.mark.parametrize(
    ("config", "outputs"), [(VISUAL_GENOME, (152, 52)), (OPEN_IMAGES, (290, 32))], ids=["Visual Genome", "Open Images"]
)
def test_the_published_checkpoint_loads_as_it_is(tmp_path: Path, config: RelTRConfig, outputs: tuple[int, int]) -> None:
    shapes = published_shapes(*outputs)
    net = RelTR.from_checkpoint(checkpoint(tmp_path / "checkpoint0149.pth", shapes))
    assert {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()} == shapes
    assert net.config == config
    assert not net.training
    assert not any(parameter.requires_grad for parameter in net.parameters())
    torch.testing.assert_close(net.so_embed.weight, torch.full((2, 256), float(net.so_embed.weight[0, 0])))
    if config is VISUAL_GENOME:
        # the paper counts 63.7 M, without the backbone's stem and first stage, which are not trained
        untrained = ("backbone.0.body.conv1", "backbone.0.body.layer1")
        trained = [p for name, p in net.named_parameters() if not name.startswith(untrained)]
        assert sum(p.numel() for p in trained) == pytest.approx(63.7e6, abs=0.05e6)
        raw = net(torch.zeros(1, 3, 64, 96))
        assert raw.entities.logits.shape == (1, 100, 152)
        assert raw.subjects.logits.shape == raw.objects.logits.shape == (1, 200, 152)
        assert raw.predicate_logits.shape == (1, 200, 52)
        found = top_triplets(net.relations(torch.zeros(1, 4, 6, 3, dtype=torch.uint8))[0], 5, 0.0)
        assert found.probabilities.shape == (5, 353)
        assert found.states.shape == (5, 512)


@pytest.mark.parametrize("name", ["so_embed.weight", "backbone.0.body.layer4.2.bn3.running_var"])
def test_a_checkpoint_that_lacks_a_tensor_is_named(tmp_path: Path, name: str) -> None:
    shapes = published_shapes(152, 52)
    del shapes[name]
    with pytest.raises(WeightsError, match=rf"checkpoint0149\.pth.*1 missing \({name}\)"):
        RelTR.from_checkpoint(checkpoint(tmp_path / "checkpoint0149.pth", shapes))


def test_a_network_of_another_width_is_refused(tmp_path: Path) -> None:
    path = checkpoint(tmp_path / "checkpoint0149.pth", published_shapes(152, 52))
    with pytest.raises(WeightsError, match="of another shape"):
        RelTR.from_checkpoint(path, TINY)


def test_visual_genome_has_as_many_names_as_the_network_has_classes() -> None:
    for names, count in ((visual_genome.ENTITIES, 151), (visual_genome.PREDICATES, 51)):
        assert len(set(names)) == len(names) == count
        assert list(names[1:]) == sorted(names[1:])


@pytest.fixture(scope="module")
def state() -> State:
    """Weights that are neither symmetric nor near zero, so that any part left out changes the outputs."""
    generator = torch.Generator().manual_seed(5)
    state: State = {}
    for name, tensor in TINY.build().state_dict().items():
        if name.endswith("tracked"):
            state[name] = torch.tensor(3)
            continue
        values = torch.randn(tensor.shape, generator=generator)
        if name.endswith("running_var"):
            state[name] = 0.5 + values.abs()
        elif tensor.dim() == 1:
            state[name] = (1.0 if name.endswith("weight") else 0.0) + 0.3 * values
        else:
            state[name] = values * (1.4 / math.sqrt(tensor[0].numel()) if "embed.weight" not in name else 1.0)
    return state


@pytest.fixture(scope="module")
def net(state: State) -> RelTR:
    net = TINY.build()
    net.load_state_dict(state)
    return net.eval()


def _pictures(*sizes: tuple[int, int]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(11)
    coarse = [torch.rand(1, 3, 6, 6, generator=generator) for _ in sizes]
    grown = [F.interpolate(x, size, mode="bilinear")[0] for x, size in zip(coarse, sizes, strict=True)]
    return [(x * 255).to(torch.uint8).permute(1, 2, 0) for x in grown]


class Plain:
    """RelTR for one picture, step by step from the state dict: loops over heads, roles and cells, no batch."""

    def __init__(self, state: State) -> None:
        self.w = {name: tensor.double() for name, tensor in state.items()}

    def linear(self, name: str, x: Tensor) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w[f"{name}.bias"]

    def norm(self, name: str, x: Tensor) -> Tensor:
        x = (x - x.mean(1, keepdim=True)) / torch.sqrt(x.var(1, keepdim=True, unbiased=False) + 1e-5)
        return x * self.w[f"{name}.weight"] + self.w[f"{name}.bias"]

    def statistics(self, name: str, x: Tensor) -> Tensor:
        mean, variance, scale, shift = (
            self.w[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / torch.sqrt(variance + 1e-5) * scale + shift

    def attention(self, name: str, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        weights, biases = self.w[f"{name}.in_proj_weight"].chunk(3), self.w[f"{name}.in_proj_bias"].chunk(3)
        q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), weights, biases, strict=True))
        outputs, maps = [], []
        size = TINY.width // TINY.heads
        for head in range(TINY.heads):
            own = slice(head * size, (head + 1) * size)
            maps.append(torch.softmax(q[:, own] @ k[:, own].T / math.sqrt(size), dim=1))
            outputs.append(maps[-1] @ v[:, own])
        return self.linear(f"{name}.out_proj", torch.cat(outputs, dim=1)), sum(maps) / TINY.heads

    def backbone(self, x: Tensor) -> Tensor:
        def convolved(name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
            return F.conv2d(x[None], self.w[f"backbone.0.body.{name}.weight"], None, stride, padding)[0]

        x = F.relu(self.statistics("backbone.0.body.bn1", convolved("conv1", x, 2, 3)))
        x = F.max_pool2d(x[None], 3, 2, 1)[0]
        for stage, blocks in enumerate(TINY.backbone_blocks, start=1):
            for block in range(blocks):
                at, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
                y = F.relu(self.statistics(f"backbone.0.body.{at}.bn1", convolved(f"{at}.conv1", x)))
                y = F.relu(self.statistics(f"backbone.0.body.{at}.bn2", convolved(f"{at}.conv2", y, stride, 1)))
                y = self.statistics(f"backbone.0.body.{at}.bn3", convolved(f"{at}.conv3", y))
                if block == 0:
                    x = convolved(f"{at}.downsample.0", x, stride)
                    x = self.statistics(f"backbone.0.body.{at}.downsample.1", x)
                x = F.relu(x + y)
        return x

    def positions(self, rows: int, columns: int) -> Tensor:
        encoded = torch.zeros(rows * columns, TINY.width, dtype=torch.float64)
        half = TINY.width // 2
        for row in range(rows):
            for column in range(columns):
                for axis, (step, length) in enumerate(((row + 1, rows), (column + 1, columns))):
                    for channel in range(half):
                        angle = step / (length + 1e-6) * 2 * math.pi / 10000 ** (2 * (channel // 2) / half)
                        wave = math.sin(angle) if channel % 2 == 0 else math.cos(angle)
                        encoded[row * columns + column, axis * half + channel] = wave
        return encoded

    def dense(self, at: str, x: Tensor, suffix: str, norm: str) -> Tensor:
        y = self.linear(f"{at}.linear2{suffix}", F.relu(self.linear(f"{at}.linear1{suffix}", x)))
        return self.norm(f"{at}.{norm}", x + y)

    def head(self, role: str, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x
        for layer in range(3):
            y = self.linear(f"{role}_bbox_embed.layers.{layer}", y)
            y = F.relu(y) if layer < 2 else torch.sigmoid(y)
        corners = [y[:, 0] - y[:, 2] / 2, y[:, 1] - y[:, 3] / 2, y[:, 0] + y[:, 2] / 2, y[:, 1] + y[:, 3] / 2]
        classes = torch.softmax(self.linear(f"{role}_class_embed", x), dim=1)[:, :-1]
        return classes, torch.stack(corners, dim=1).clamp(0, 1)

    def map_features(self, maps: Tensor, rows: int, columns: int) -> Tensor:
        grown = torch.zeros(len(maps), 2, 28, 28, dtype=torch.float64)
        for row in range(28):
            for column in range(28):
                grown[:, :, row, column] = maps[:, :, (row * rows // 28) * columns + column * columns // 28]
        x = F.relu(F.conv2d(grown, self.w["so_mask_conv.1.weight"], self.w["so_mask_conv.1.bias"], 2, 3))
        x = F.max_pool2d(torch.stack([self.statistics("so_mask_conv.3", y) for y in x]), 3, 2, 1)
        x = F.relu(F.conv2d(x, self.w["so_mask_conv.5.weight"], self.w["so_mask_conv.5.bias"], 1, 1))
        x = torch.stack([self.statistics("so_mask_conv.7", y) for y in x]).flatten(1)
        return self.linear("so_mask_fc.2", F.relu(self.linear("so_mask_fc.0", x)))

    def __call__(self, pixels: Tensor) -> Relations:
        features = self.backbone(pixels.double())
        rows, columns = features.shape[1:]
        x = features.flatten(1).T @ self.w["input_proj.weight"][:, :, 0, 0].T + self.w["input_proj.bias"]
        places = self.positions(rows, columns)
        for layer in range(TINY.encoder_layers):
            at = f"transformer.encoder.layers.{layer}"
            x = self.norm(f"{at}.norm1", x + self.attention(f"{at}.self_attn", x + places, x + places, x)[0])
            x = self.dense(at, x, "", "norm2")
        width = TINY.width
        entity_place, entity = self.w["entity_embed.weight"][:, :width], self.w["entity_embed.weight"][:, width:]
        place, subject, thing = (self.w["triplet_embed.weight"][:, i * width : (i + 1) * width] for i in range(3))
        roles = self.w["so_embed.weight"]
        maps: dict[str, Tensor] = {}
        for layer in range(TINY.decoder_layers):
            at = f"transformer.decoder.layers.{layer}"
            placed = entity + entity_place
            entity = entity + self.attention(f"{at}.self_attn_entity", placed, placed, entity)[0]
            entity = self.norm(f"{at}.norm2_entity", entity)
            looked = self.attention(f"{at}.cross_attn_entity", entity + entity_place, x + places, x)[0]
            entity = self.dense(at, self.norm(f"{at}.norm1_entity", entity + looked), "_entity", "norm3_entity")
            both = torch.cat([subject, thing])
            placed = torch.cat([subject + place + roles[0], thing + place + roles[1]])
            both = self.norm(f"{at}.norm2_so", both + self.attention(f"{at}.self_attn_so", placed, placed, both)[0])
            states = {"sub": both[: TINY.triplet_queries], "obj": both[TINY.triplet_queries :]}
            for role, y in states.items():
                looked, maps[role] = self.attention(f"{at}.cross_attn_{role}", y + place, x + places, x)
                y = self.norm(f"{at}.norm1_{role}", y + looked)
                joined = self.attention(f"{at}.cross_{role}_entity", y + place, entity, entity)[0]
                y = self.norm(f"{at}.norm2_{role}", y + joined)
                states[role] = self.dense(at, y, f"_{role}", f"norm3_{role}")
            subject, thing = states["sub"], states["obj"]
        looked = self.map_features(torch.stack([maps["sub"], maps["obj"]], dim=1), rows, columns)
        hidden = F.relu(self.linear("rel_class_embed.layers.0", torch.cat([subject, thing, looked], dim=1)))
        predicates = torch.softmax(self.linear("rel_class_embed.layers.1", hidden), dim=1)[:, :-1]
        entities, entity_boxes = self.head("entity", entity)
        subjects, subject_boxes = self.head("sub", subject)
        objects, object_boxes = self.head("obj", thing)
        scores = predicates.amax(1) * subjects.amax(1) * objects.amax(1)
        return Relations(
            entity, entities, entity_boxes, subject, thing,
            torch.cat([predicates, subjects, objects], dim=1), subject_boxes, object_boxes, scores,
        )  # fmt: skip


def _assert_close(found: Relations, wanted: Relations, atol: float) -> None:
    for name, ours, theirs in zip(Relations._fields, found, wanted, strict=True):
        torch.testing.assert_close(
            ours, theirs.to(ours.dtype), atol=atol, rtol=0.0, msg=lambda m, name=name: f"{name}: {m}"
        )


@pytest.mark.parametrize("size", [(96, 96), (96, 150), (133, 96)])
def test_outputs_are_those_of_a_plain_computation(net: RelTR, state: State, size: tuple[int, int]) -> None:
    picture = _pictures(size)[0]
    pixels = picture.permute(2, 0, 1) / 255  # already of the network's size: scaling changes nothing
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    wanted = Plain(state)((pixels - mean[:, None, None]) / std[:, None, None])
    found = net.relations(picture[None])[0]
    assert wanted.triplet_scores.std() > 1e-3  # the weights tell queries apart
    _assert_close(found, wanted, atol=2e-4)


def test_pictures_of_several_sizes_give_together_what_they_give_alone(net: RelTR) -> None:
    pictures = _pictures((96, 96), (40, 64), (200, 77), (97, 131))
    for picture, together in zip(pictures, net.relations(pictures), strict=True):
        _assert_close(together, net.relations([picture])[0], atol=1e-4)


def test_frames_of_one_size_give_together_what_they_give_alone(net: RelTR) -> None:
    frames = torch.stack(_pictures((50, 80), (50, 80), (50, 80)))
    together = net.relations(frames)
    for frame, found, listed in zip(frames, together, net.relations(list(frames)), strict=True):
        _assert_close(found, net.relations(frame[None])[0], atol=1e-4)
        _assert_close(found, listed, atol=0.0)


def test_no_pictures_have_no_relations(net: RelTR) -> None:
    assert net.relations([]) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (400, 2)])
def test_extreme_shapes_are_ordinary(net: RelTR, size: tuple[int, int]) -> None:
    found = net.relations(torch.full((1, *size, 3), 90, dtype=torch.uint8))[0]
    assert all(part.isfinite().all() for part in found)


def test_probabilities_boxes_and_scores_are_what_they_say(net: RelTR) -> None:
    found = net.relations(_pictures((60, 90)))[0]
    assert found.triplet_probabilities.shape == (7, 4 + 6 + 6)
    parts = found.parts()
    assert [part.shape[1] for part in parts] == [4, 6, 6]
    for part in (*parts, found.entity_probabilities):
        assert (part >= 0).all()
        assert (part.sum(1) < 1).all()  # what is left is no-object
    torch.testing.assert_close(found.triplet_scores, torch.stack([part.amax(1) for part in parts]).prod(0))
    for boxes in (found.entity_boxes_frac, found.subject_boxes_frac, found.object_boxes_frac):
        assert ((boxes >= 0) & (boxes <= 1)).all()
        assert (boxes[:, 2:] >= boxes[:, :2]).all()


def test_bfloat16_stays_close_and_hands_back_float32() -> None:
    torch.manual_seed(2)  # torch's own start values: the wild weights above blow up every rounding
    full = TINY.build().eval()
    half = copy.deepcopy(full).to(torch.bfloat16)
    pictures = _pictures((96, 96), (60, 96))
    for found, wanted in zip(half.relations(pictures), full.relations(pictures), strict=True):
        assert {part.dtype for part in found} == {torch.float32}
        assert wanted.subject_boxes_frac.std(0).mean() > 5e-3  # queries differ by more than what is allowed below
        for ours, theirs in zip(found, wanted, strict=True):
            if ours.shape[-1] != TINY.width:  # probabilities, boxes and scores
                torch.testing.assert_close(ours, theirs, atol=4e-3, rtol=0.0)
        assert F.cosine_similarity(found.entity_states, wanted.entity_states).min() > 0.999
        assert F.cosine_similarity(found.subject_states, wanted.subject_states).min() > 0.999


def test_positions_in_padding_do_not_shift_a_picture() -> None:
    alone = sine_positions(torch.tensor([[2, 3]]), 2, 3, 8)
    padded = sine_positions(torch.tensor([[2, 3], [4, 5]]), 4, 5, 8)[0].unflatten(0, (4, 5))
    torch.testing.assert_close(padded[:2, :3].flatten(0, 1), alone[0])
    assert alone.dtype == torch.float32


def _relations(predicate: list[list[float]], subject: list[list[float]], thing: list[list[float]]) -> Relations:
    parts = [torch.tensor(part) for part in (predicate, subject, thing)]
    count = len(predicate)
    numbers = torch.arange(float(count))[:, None]
    return Relations(
        torch.zeros(2, 3), torch.zeros(2, 3), torch.zeros(2, 4),
        numbers.expand(count, 3), 10 + numbers.expand(count, 3), torch.cat(parts, dim=1),
        numbers.expand(count, 4) / 10, numbers.expand(count, 4) / 20,
        torch.stack([part.amax(1) for part in parts]).prod(0),
    )  # fmt: skip


def test_top_triplets_by_hand() -> None:
    relations = _relations(
        predicate=[[0.1, 0.5], [0.9, 0.0], [0.6, 0.1], [0.2, 0.7]],
        subject=[[0.1, 0.8, 0.0], [0.9, 0.0, 0.0], [0.0, 0.0, 0.5], [0.7, 0.1, 0.1]],
        thing=[[0.9, 0.0, 0.0], [0.0, 0.3, 0.1], [0.1, 0.8, 0.0], [0.0, 0.0, 0.8]],
    )
    # products 0.36, 0.243 (its object is not above 0.3), 0.24, 0.392
    found = top_triplets(relations, count=5, min_score=0.3)
    assert found.queries.tolist() == [3, 0, 2]
    assert found.predicates.tolist() == [1, 1, 0]
    assert found.subjects.tolist() == [0, 1, 2]
    assert found.objects.tolist() == [2, 0, 1]
    torch.testing.assert_close(found.scores, torch.tensor([0.392, 0.36, 0.24]))
    torch.testing.assert_close(found.probabilities[0], torch.tensor([0.2, 0.7, 0.7, 0.1, 0.1, 0.0, 0.0, 0.8]))
    assert found.states[0].tolist() == [3.0, 3.0, 3.0, 13.0, 13.0, 13.0]
    torch.testing.assert_close(found.subject_boxes_frac[:, 0], torch.tensor([0.3, 0.0, 0.2]))
    assert top_triplets(relations, count=2).queries.tolist() == [3, 0]
    assert top_triplets(relations, count=5, min_score=0.2).queries.tolist() == [3, 0, 1, 2]
    nothing = top_triplets(relations, min_score=0.95)
    assert nothing.probabilities.shape == (0, 8)
    assert nothing.states.shape == (0, 6)


def test_equal_triplets_stay_in_the_order_of_queries() -> None:
    relations = _relations([[0.5, 0.1]] * 4, [[0.1, 0.9]] * 4, [[0.8, 0.1]] * 4)._replace(
        entity_probabilities=torch.zeros(2, 2)
    )
    assert top_triplets(relations, count=3).queries.tolist() == [0, 1, 2]
