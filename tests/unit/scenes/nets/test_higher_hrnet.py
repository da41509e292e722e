"""HigherHRNet: the published names and shapes, its figures by a plain walk over a state dict, and people of pictures.

No trained weights lie here: ``seeing`` sets those of a tiny network by hand, so that it sees coloured spots as joints.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from omnisila.errors import WeightsError
from omnisila.scenes.nets.higher_hrnet import ENCODING, MIRRORED, HigherHRNet, HigherHRNetConfig
from omnisila.scenes.nets.pose_grouping import JOINTS

TINY = HigherHRNetConfig(width=4, stem=4, modules=(1, 2, 2), input_px=128, batch_size=2)
Shapes = dict[str, tuple[int, ...]]


def normalised(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def residual(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in "12":
        yield f"{name}.conv{part}.weight", (channels, channels, 3, 3)
        yield from normalised(f"{name}.bn{part}", channels)


def joined(name: str, channels: int, filters: int, kernel: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.0.weight", (filters, channels, kernel, kernel)
    yield from normalised(f"{name}.1", filters)


def published(width: int) -> Shapes:
    """Names and shapes of the tensors in the published files, whose configurations give one width a branch."""
    widths = [width * 2**branch for branch in range(4)]
    shapes: Shapes = {"conv1.weight": (64, 3, 3, 3), "conv2.weight": (64, 64, 3, 3)}
    shapes |= dict(normalised("bn1", 64)) | dict(normalised("bn2", 64))
    for block in range(4):
        name, channels = f"layer1.{block}", 64 if block == 0 else 256
        for part, shape in ((1, (64, channels, 1, 1)), (2, (64, 64, 3, 3)), (3, (256, 64, 1, 1))):
            shapes |= {f"{name}.conv{part}.weight": shape} | dict(normalised(f"{name}.bn{part}", shape[0]))
    shapes |= dict(joined("layer1.0.downsample", 64, 256, 1)) | dict(joined("transition1.0", 256, widths[0], 3))
    shapes |= dict(joined("transition1.1.0", 256, widths[1], 3)) | dict(joined("transition2.2.0", *widths[1:3], 3))
    shapes |= dict(joined("transition3.3.0", *widths[2:4], 3))
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        for module in range(modules):
            name = f"stage{stage}.{module}"
            for branch in range(stage):
                for block in range(4):
                    shapes |= dict(residual(f"{name}.branches.{branch}.{block}", widths[branch]))
            for target in range(1 if (stage, module) == (4, 2) else stage):
                for source in range(stage):
                    fuse = f"{name}.fuse_layers.{target}.{source}"
                    if source > target:
                        shapes |= dict(joined(fuse, widths[source], widths[target], 1))
                    for step in range(target - source):
                        last = step == target - source - 1
                        filters = widths[target] if last else widths[source]
                        shapes |= dict(joined(f"{fuse}.{step}", widths[source], filters, 3))
    shapes |= {"final_layers.0.weight": (34, width, 1, 1), "final_layers.0.bias": (34,)}
    shapes |= {"final_layers.1.weight": (17, width, 1, 1), "final_layers.1.bias": (17,)}
    shapes |= {"deconv_layers.0.0.0.weight": (width + 34, width, 4, 4)} | dict(normalised("deconv_layers.0.0.1", width))
    for block in range(1, 5):
        shapes |= dict(residual(f"deconv_layers.0.{block}.0", width))
    return shapes


@pytest.mark.parametrize(("width", "parameters"), [(32, 28_645_331), (48, 63_827_139)])  # printed as 28.6M, 63.8M
def test_names_and_shapes_are_the_published_ones(width: int, parameters: int) -> None:
    with torch.device("meta"):
        net = HigherHRNetConfig(width=width).build()
    assert {key: tuple(tensor.shape) for key, tensor in net.state_dict().items()} == published(width)
    assert len(published(width)) == 1810
    assert sum(tensor.numel() for tensor in net.parameters()) == parameters


def untrained(seed: int = 0) -> HigherHRNet:
    """Random weights and statistics, heat of every sign."""
    torch.manual_seed(seed)
    net = TINY.build()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.2)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.2)
    return net.eval().requires_grad_(False)


class Walk:
    """The network as a walk over the names of a state dict."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, self.state.get(f"{name}.bias"), stride, weight.shape[2] // 2)

    def norm(self, x: Tensor, name: str) -> Tensor:
        scale, bias, mean, variance = (
            self.state[f"{name}.{part}"][:, None, None] for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + bias

    def pair(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return self.norm(self.conv(x, f"{name}.0", stride), f"{name}.1")

    def basic(self, x: Tensor, name: str) -> Tensor:
        y = self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1").relu()
        return (x + self.norm(self.conv(y, f"{name}.conv2"), f"{name}.bn2")).relu()

    def bottleneck(self, x: Tensor, name: str, widen: bool) -> Tensor:
        y = self.norm(self.conv(x, f"{name}.conv1"), f"{name}.bn1").relu()
        y = self.norm(self.conv(y, f"{name}.conv2"), f"{name}.bn2").relu()
        y = self.norm(self.conv(y, f"{name}.conv3"), f"{name}.bn3")
        return (y + (self.pair(x, f"{name}.downsample") if widen else x)).relu()

    def module(self, branches: list[Tensor], name: str, outputs: int) -> list[Tensor]:
        for block in range(4):
            branches = [self.basic(x, f"{name}.branches.{branch}.{block}") for branch, x in enumerate(branches)]
        fused = []
        for target in range(outputs):
            total = branches[target]
            for source, x in enumerate(branches):
                fuse = f"{name}.fuse_layers.{target}.{source}"
                if source > target:
                    x, times = self.pair(x, fuse), 2 ** (source - target)
                    total = total + x.repeat_interleave(times, 2).repeat_interleave(times, 3)
                elif source < target:
                    for step in range(target - source):
                        x = self.pair(x, f"{fuse}.{step}", 2)
                        x = x if step == target - source - 1 else x.relu()
                    total = total + x
            fused.append(total.relu())
        return fused

    def heads(self, x: Tensor) -> tuple[Tensor, Tensor]:
        for part in "12":
            x = self.norm(self.conv(x, f"conv{part}", 2), f"bn{part}").relu()
        for block in range(4):
            x = self.bottleneck(x, f"layer1.{block}", widen=block == 0)
        branches = [self.pair(x, "transition1.0").relu(), self.pair(x, "transition1.1.0", 2).relu()]
        branches = self.module(branches, "stage2.0", 2)
        branches.append(self.pair(branches[-1], "transition2.2.0", 2).relu())
        for module in range(TINY.modules[1]):
            branches = self.module(branches, f"stage3.{module}", 3)
        branches.append(self.pair(branches[-1], "transition3.3.0", 2).relu())
        for module in range(TINY.modules[2]):
            branches = self.module(branches, f"stage4.{module}", 1 if module == TINY.modules[2] - 1 else 4)
        coarse = self.conv(branches[0], "final_layers.0")
        y = torch.cat([branches[0], coarse], 1)
        y = F.conv_transpose2d(y, self.state["deconv_layers.0.0.0.weight"], stride=2, padding=1)
        y = self.norm(y, "deconv_layers.0.0.1").relu()
        for block in range(1, 5):
            y = self.basic(y, f"deconv_layers.0.{block}.0")
        return coarse, self.conv(y, "final_layers.1")


def test_heatmaps_equal_a_walk_over_the_state() -> None:
    net, images = untrained(), torch.randn(2, 3, 64, 128)
    coarse, fine = Walk(net.state_dict()).heads(images)
    maps = net(images)
    torch.testing.assert_close(torch.cat([maps.coarse, maps.tags], 1), coarse, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(maps.fine, fine, rtol=1e-4, atol=1e-4)
    assert maps.coarse.shape == (2, JOINTS, 16, 32)
    assert maps.fine.shape == (2, JOINTS, 32, 64)


@pytest.mark.parametrize("prefix", ["", "1.", "module."])
def test_a_published_file_fills_the_network(tmp_path: Path, prefix: str) -> None:
    net, images = untrained(), torch.randn(1, 3, 64, 64)
    torch.save({prefix + key: tensor for key, tensor in net.state_dict().items()}, tmp_path / "pose.pth")
    loaded = HigherHRNet.from_official(tmp_path / "pose.pth", TINY)
    assert not loaded.training
    torch.testing.assert_close(loaded(images).fine, net(images).fine)


def test_a_file_of_other_sizes_is_refused(tmp_path: Path) -> None:
    torch.save(untrained().state_dict(), tmp_path / "pose.pth")
    with pytest.raises(WeightsError, match=r"pose\.pth: not the weights of HigherHRNet.* of another shape"):
        HigherHRNet.from_official(tmp_path / "pose.pth", TINY.replace(width=8))


@pytest.fixture(scope="module")
def seeing() -> HigherHRNet:
    """Red is heat of joints on the left and in the middle, green of those on the right; blue is the person's tag."""
    net = TINY.build().eval().requires_grad_(False)
    for name, tensor in net.named_parameters():
        is_scale = name.endswith("weight") and tensor.dim() == 1
        tensor.fill_(1.0 if is_scale else 0.0)
    colours = torch.arange(3)
    middle = torch.tensor([0.25, 0.5, 0.25])
    net.conv1.weight[colours, colours] = middle[:, None] * middle
    net.conv2.weight[colours, colours] = middle[:, None] * middle
    net.layer1[0].downsample[0].weight[colours, colours] = 1.0
    net.transition1[0][0].weight[colours, colours, 1, 1] = 1.0
    doubled = torch.tensor([0.25, 0.75, 0.75, 0.25])
    net.deconv_layers[0][0][0].weight[colours, colours] = doubled[:, None] * doubled
    right = torch.tensor([joint > 0 and joint % 2 == 0 for joint in range(JOINTS)])
    for head in net.final_layers:
        head.weight[:JOINTS, 0, 0, 0] = 0.4 * ~right
        head.weight[:JOINTS, 1, 0, 0] = 0.4 * right
    net.final_layers[0].weight[JOINTS:, 2] = 3.0
    return net


def spots(height: int, width: int, *places: tuple[float, float, int, int], radius: float = 6.0) -> Tensor:
    """A black picture with round spots: x and y as fractions, the colour they have, and how blue they are."""
    rows, columns = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    picture = torch.zeros(height, width, 3)
    for x, y, colour, blue in places:
        squared = (columns - x * width) ** 2 + (rows - y * height) ** 2
        hill = torch.exp(-squared / (2 * radius**2))
        picture[..., colour] = torch.maximum(picture[..., colour], 250 * hill)
        picture[..., 2] = torch.where(squared < 9 * radius**2, float(blue), picture[..., 2])
    return picture.round().to(torch.uint8)


SIDES = [(128, 128), (128, 200), (150, 90), (70, 110)]


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_people_are_found_where_they_are_in_frames_of_every_shape(seeing: HigherHRNet, height: int, width: int) -> None:
    left, right = (0.27, 0.42), (0.71, 0.6)
    picture = spots(height, width, *((*left, c, 120) for c in (0, 1)), *((*right, c, 250) for c in (0, 1)), radius=5)
    (people,) = seeing.detect(picture[None])
    assert people.joints.shape == (2, JOINTS, 5)
    xs = people.joints[:, :, 0].mean(1)
    for person, (x, y) in zip(xs.argsort(), (left, right), strict=True):
        joints = people.joints[person]
        torch.testing.assert_close(joints[:, 0], torch.full((JOINTS,), x), rtol=0.0, atol=2.5 / min(height, width))
        torch.testing.assert_close(joints[:, 1], torch.full((JOINTS,), y), rtol=0.0, atol=2.5 / min(height, width))
    torch.testing.assert_close(people.score, people.joints[..., 2].mean(1))
    torch.testing.assert_close(people.joints[..., 3], people.joints[..., 4])
    assert people.score[0] >= people.score[1] > 0.3


def test_the_encoding_holds_each_joints_strongest_heat(seeing: HigherHRNet) -> None:
    picture = spots(128, 160, (0.3, 0.3, 0, 120), (0.6, 0.7, 1, 120))
    (people,) = seeing.detect(picture[None])
    assert people.encoding.shape == (1, ENCODING)
    cells = people.encoding.reshape(JOINTS, 4, 4)
    torch.testing.assert_close(cells.amax((1, 2)), people.joints[0, :, 2])
    assert cells[5, 0, 0] == cells[5].max()  # the left shoulder, red, stands top left in the person
    assert cells[6, 3, 3] == cells[6].max()


def test_the_flip_test_sees_pictures_and_mirrored_ones_alike(seeing: HigherHRNet) -> None:
    places = ((0.2, 0.31, 0, 60), (0.33, 0.6, 1, 60), (0.62, 0.42, 0, 250), (0.83, 0.71, 1, 250))
    picture = spots(128, 192, *places)
    picture[:, 100:, 2] += 3  # the mirrored tags differ a little
    (seen,), (mirrored,) = (seeing.detect(p[None], flip_test=True) for p in (picture, picture.flip(1)))
    assert len(seen.joints) == len(mirrored.joints) > 1
    there = mirrored.joints[:, MIRRORED][..., [0, 1, 2, 4, 3]]
    there[..., 0] = 1 - there[..., 0]

    def ordered(joints: Tensor) -> Tensor:
        return joints[joints[..., :2].mean((1, 2)).argsort()]

    torch.testing.assert_close(ordered(seen.joints), ordered(there), rtol=0.0, atol=0.02)


def test_the_second_tag_is_the_mirrored_pictures(seeing: HigherHRNet) -> None:
    """The mirrored look at the left shoulder is a look at the right one, whose tag is another."""
    net = HigherHRNet(TINY)
    net.load_state_dict(seeing.state_dict())
    with torch.no_grad():
        net.final_layers[0].bias[JOINTS + 6] = 0.25
    picture = spots(128, 128, (0.5, 0.5, 0, 200), (0.5, 0.5, 1, 200))
    (people,) = net.eval().detect(picture[None], flip_test=True)
    tag, mirrored = people.joints[0, 5, 3:].tolist()
    assert mirrored == pytest.approx(tag + 0.25, abs=1e-3)
    tag, mirrored = people.joints[0, 6, 3:].tolist()
    assert mirrored == pytest.approx(tag - 0.25, abs=1e-3)


def test_a_batch_gives_what_its_pictures_give_alone(seeing: HigherHRNet) -> None:
    pictures = torch.stack([spots(90, 120, (0.2 + 0.15 * n, 0.4, n % 2, 80 * n)) for n in range(4)] + [spots(90, 120)])
    for picture, together in zip(pictures, seeing.detect(pictures), strict=True):
        (alone,) = seeing.detect(picture[None])
        for a, b in zip(together, alone, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


def test_half_precision_finds_the_same_people(seeing: HigherHRNet) -> None:
    net = HigherHRNet(TINY)
    net.load_state_dict(seeing.state_dict())
    picture = spots(128, 192, (0.2, 0.3, 0, 60), (0.3, 0.6, 1, 60), (0.6, 0.4, 0, 250), (0.8, 0.7, 1, 250))
    (wanted,), (found,) = seeing.detect(picture[None]), net.eval().bfloat16().detect(picture[None])
    assert found.joints.dtype == torch.float32
    torch.testing.assert_close(found.joints[..., :2], wanted.joints[..., :2], rtol=0.0, atol=0.02)
    torch.testing.assert_close(found.joints[..., 2:], wanted.joints[..., 2:], rtol=0.05, atol=0.05)


@pytest.mark.parametrize("flip_test", [False, True])
def test_a_picture_of_nobody_and_no_pictures(seeing: HigherHRNet, flip_test: bool) -> None:
    assert seeing.detect(torch.zeros(0, 48, 64, 3, dtype=torch.uint8), flip_test) == []
    (people,) = seeing.detect(torch.zeros(1, 48, 64, 3, dtype=torch.uint8), flip_test)
    assert people.joints.shape == (0, JOINTS, 5)
    assert people.score.shape == (0,)
    assert people.encoding.shape == (0, ENCODING)


def test_a_strip_of_pixels_needs_bounded_memory(seeing: HigherHRNet) -> None:
    (people,) = seeing.detect(torch.zeros(1, 2, 3000, 3, dtype=torch.uint8))
    assert len(people.score) == 0
