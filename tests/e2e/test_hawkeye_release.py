"""``omnisila predict --model hawkeye-release:FOLDER`` on files of the authors' form that this test makes."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result

from omnisila.inference.hawkeye_release import ReleaseSystem
from omnisila.labels import ANOMALY, EXPLICIT
from omnisila.models.lora import LoRAConfig, add_lora
from omnisila.models.pretrained_llm import from_pretrained
from omnisila.records import append, records
from omnisila.schema import Example, Prediction

WIDTH, FEEDFORWARD = 24, 32
SETTINGS = {"frames": 2, "model": {"width": WIDTH, "num_heads": 2, "feedforward": FEEDFORWARD}}
KEY = "base_model.model.model."


def checkpoint() -> dict[str, torch.Tensor]:
    """Tensors as the authors name them."""
    random = torch.Generator().manual_seed(0)
    square = (
        "pose_projector", "scene_tower.conv_layers.1.linear", "scene_tower.linear", "scene_projector",
        "moe.clip_proj1.pose.0", "moe.clip_proj2.pose.0", "moe_projector", "mm_projector.2",
    )  # fmt: skip
    linear = dict.fromkeys(square, (WIDTH, WIDTH)) | {
        "pose_tower.pose_projector": (WIDTH, 85), "scene_tower.conv_layers.0.linear": (WIDTH, 151),
        "scene_tower.conv_layers.0.edge_attr_linear": (151, 51), "mm_projector.0": (WIDTH, 16),
        "scene_tower.conv_layers.1.edge_attr_linear": (WIDTH, 51), "moe.routers.pose.fc1": (2, WIDTH),
        "moe.routers.pose.fc2": (2, 2),
    }  # fmt: skip
    shapes: dict[str, tuple[int, ...]] = {}
    for expert in "01":
        layer = f"moe.resample_layers.{expert}.0"
        linear |= {f"{layer}.attention.{name}": (WIDTH, WIDTH) for name in ("wq", "wk", "wv", "wo")}
        shapes |= {f"{layer}.{name}.weight": (WIDTH,) for name in ("attention_norm", "ffn_norm")}
        shapes |= {f"{layer}.feed_forward.{name}.weight": (FEEDFORWARD, WIDTH) for name in ("w1", "w3")}
        shapes[f"{layer}.feed_forward.w2.weight"] = (WIDTH, FEEDFORWARD)
    for name, (out, into) in linear.items():
        shapes |= {f"{name}.weight": (out, into), f"{name}.bias": (out,)}
    shapes |= {f"moe.clip_proj2.pose.1.{kind}": (WIDTH,) for kind in ("weight", "bias")}
    return {f"{KEY}{name}": torch.randn(shape, generator=random) for name, shape in shapes.items()}


@pytest.fixture
def folder(tmp_path: Path, video_llava_folder: Path) -> Path:
    """What the authors publish of one video of four clips."""
    made = tmp_path / "release"
    random = np.random.default_rng(0)
    for kind, shape in (("pose_feat", (2, 17, 5)), ("rel_feat", (3, 353))):
        (made / kind / "test/clip").mkdir(parents=True)
        for number in range(4):
            np.save(made / kind / f"test/clip/frame_{number}.npy", random.random(shape, np.float32))
    torch.save(checkpoint(), made / "non_lora_trainables.bin")
    backbone = {"source": str(video_llava_folder), "precision": "float32"}
    (made / "release.json").write_text(json.dumps({**SETTINGS, "backbone": backbone}))
    return made


@pytest.fixture
def predict(
    omnisila: Callable[..., Result], make_video: Callable[..., Path], folder: Path, tmp_path: Path
) -> Callable[[], Result]:
    """Runs the command on windows and the whole of one video."""
    make_video("clip.mp4", frames=48, rate_hz=12)
    fields = {"video": "clip.mp4", "answer": "", "split": "test", "group": "clip"}
    asked = [
        *(("identify", "anomaly", ANOMALY.identify, k, k + 1) for k in range(4)),
        ("locate", "anomaly", ANOMALY.locate, 0, 4),
        ("locate", "explicit", EXPLICIT.locate, 0, 4),
        ("identify", "explicit", EXPLICIT.identify, 4, 4.1),
    ]
    lines = [
        Example(id=str(number), task=task, labels=labels, instruction=instruction, start_s=start_s, end_s=end_s,
                **fields)  # type: ignore[arg-type]
        for number, (task, labels, instruction, start_s, end_s) in enumerate(asked)
    ]  # fmt: skip
    append(tmp_path / "examples.jsonl", lines)

    def run() -> Result:
        return omnisila(
            "predict", tmp_path / "examples.jsonl", "--footage", tmp_path, "--out", tmp_path / "out.jsonl",
            "--model", f"hawkeye-release:{folder}",
        )  # fmt: skip

    return run


def threshold(folder: Path, value: float) -> None:
    path = folder / "release.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "threshold": value}))


def test_yes_and_no_a_clip_become_spans(predict: Callable[[], Result], folder: Path, tmp_path: Path) -> None:
    assert predict().exit_code == 0
    first = {one.example_id: one for one in records(tmp_path / "out.jsonl", Prediction)}
    scores = [float(first[str(k)].anomaly or 0.0) for k in range(4)]
    assert len(set(scores)) == 4, "every clip has its own features and pictures"
    for k in range(4):
        assert sum((first[str(k)].posterior or {}).values()) == pytest.approx(1.0, abs=1e-3)

    least = sorted(scores)[1]  # all clips but the calmest are anomalous
    threshold(folder, least)
    (tmp_path / "out.jsonl").unlink()
    assert predict().exit_code == 0
    said = {one.example_id: one for one in records(tmp_path / "out.jsonl", Prediction)}
    calm = scores.index(min(scores))
    assert [said[str(k)].answer for k in range(4)] == ["No." if k == calm else "Yes." for k in range(4)]
    wanted = [span for span in ((0.0, float(calm)), (calm + 1.0, 4.0)) if span[0] < span[1]]
    assert [(f.span.start_s, f.span.end_s) for f in said["4"].findings] == wanted
    assert {f.label for f in said["4"].findings} <= set(ANOMALY.negative)
    assert {f.label for f in said["5"].findings} <= {"negative"}
    assert said["6"].answer in ("Yes.", "No."), "a sliver at the end is the last clip"


def test_the_published_language_side_is_used(folder: Path, video_llava_folder: Path) -> None:
    llm = from_pretrained(video_llava_folder, torch.float32)
    add_lora(llm.model, LoRAConfig(rank=2, alpha=4, dropout=0.0))
    names = [name.replace(".default.", ".") for name, _ in llm.model.named_parameters() if ".lora_" in name]
    shapes = [tuple(one.shape) for name, one in llm.model.named_parameters() if ".lora_" in name]
    published = [f"base_model.model.{name.replace('language_model.', '')}" for name in names]
    torch.save({n: torch.full(s, 0.5) for n, s in zip(published, shapes, strict=True)}, folder / "adapter_model.bin")
    settings = folder / "adapter_config.json"
    settings.write_text(json.dumps({"r": 2, "lora_alpha": 4, "lora_dropout": 0.0}))
    model = ReleaseSystem(folder).model
    adapters = [one for name, one in model.named_parameters() if ".lora_" in name]
    assert len(adapters) == len(names)
    assert all(bool((one == 0.5).all()) for one in adapters)
    projector = dict(model.named_parameters())["video_llm.model.model.multi_modal_projector.linear_1.weight"]
    assert torch.equal(projector, checkpoint()[f"{KEY}mm_projector.0.weight"])


def test_visual_tokens_are_the_patches_alone_as_released(folder: Path) -> None:
    released = ReleaseSystem(folder)
    settings = json.loads((folder / "release.json").read_text())
    settings["backbone"]["class_tokens"] = True
    (folder / "release.json").write_text(json.dumps(settings))
    upstream = ReleaseSystem(folder)
    assert (released.llm.backbone.patches, upstream.llm.backbone.patches) == (4, 5)
    pictures = torch.randint(0, 256, (1, 2, 28, 28, 3), dtype=torch.uint8)
    patches, every = (one.llm.backbone.encode(pictures.to(one.device)).values for one in (released, upstream))
    assert torch.equal(patches, every[:, :, 1:]), "the class token comes first"
    asked = [one.model.video_llm for one in (released, upstream)]
    assert [llm.prompt_ids("?", 2, 5).count(llm.video_id) for llm in asked] == [8, 10]  # type: ignore[attr-defined]


def poses(people: int, joints: int = 17) -> np.ndarray:
    """People of whom so many joints are seen; the others are zeros, as HigherHRNet leaves them."""
    made = np.zeros((people, 17, 5), np.float32)
    made[:, :joints] = np.random.default_rng(1).random((people, joints, 5))
    return made


def same_object(triplets: int) -> np.ndarray:
    """A man near that man, so many times."""
    row = np.full(353, 0.001, np.float32)
    row[[29, 51 + 78, 202 + 78]] = 0.8
    return np.tile(row, (triplets, 1))


@pytest.mark.parametrize(
    ("pose", "scene", "as_if_pose", "as_if_scene"),
    [
        (poses(0), same_object(0), poses(5, joints=0), np.zeros((5, 353))),  # neither people nor objects
        (poses(0), None, np.zeros((0,)), None),  # an empty list, as numpy saves it
        (poses(1, joints=1), None, np.concatenate([poses(1, joints=1), poses(4, joints=0)]), None),
        (poses(50), None, poses(50)[:5], None),
        (None, same_object(2), None, np.concatenate([same_object(2), np.zeros((3, 353))])),
    ],
    ids=["nobody and nothing", "an empty file", "one joint", "fifty people", "one object twice"],
)
def test_odd_features_are_read_as_the_authors_loader_does(
    predict: Callable[[], Result],
    folder: Path,
    tmp_path: Path,
    pose: np.ndarray | None,
    scene: np.ndarray | None,
    as_if_pose: np.ndarray | None,
    as_if_scene: np.ndarray | None,
) -> None:
    """Cut or filled up with zeros to five people and five triplets."""

    def anomaly(pose: np.ndarray | None, scene: np.ndarray | None) -> float:
        for kind, values in (("pose_feat", pose), ("rel_feat", scene)):
            if values is not None:
                np.save(folder / kind / "test/clip/frame_1.npy", values)
        (tmp_path / "out.jsonl").unlink(missing_ok=True)
        ended = predict()
        assert ended.exit_code == 0, ended.stderr
        said = {one.example_id: one for one in records(tmp_path / "out.jsonl", Prediction)}
        return float(said["1"].anomaly or 0.0)

    assert anomaly(pose, scene) == pytest.approx(anomaly(as_if_pose, as_if_scene), abs=1e-6)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda f: np.save(f / "pose_feat/test/clip/frame_2.npy", np.zeros((1, 3))), "wanted pose_feat (people, 17"),
        (lambda f: np.save(f / "rel_feat/test/clip/frame_1.npy", np.full((1, 353), np.nan)), "is nan, wanted finite"),
        (lambda f: np.save(f / "pose_feat/test/clip/frame_1.npy", np.full((1, 17, 5), 1e39)), "wanted finite numbers"),
        (lambda f: np.save(f / "pose_feat/test/clip/frame_1.npy", np.full((1, 17, 5), 1e30)), "clip 1: no answer"),
        (lambda f: (f / "rel_feat/test/clip/frame_1.npy").write_text("text"), "as a plain .npy array"),
        (lambda f: (f / "rel_feat/test/clip/frame_1.npy").write_bytes(b"PK\x03\x04"), "as a plain .npy array"),
        (lambda f: (f / "rel_feat/test/clip/frame_1.npy").write_bytes(
            b"\x93NUMPY\x01\x00\x46\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (".ljust(70)),
         "as a plain .npy array"),
        (lambda f: (f / "rel_feat/test/clip/frame_1.npy").unlink(), "clip is in pose_feat but not in rel_feat"),
        (lambda f: [(f / kind / "test/clip/frame_3.npy").unlink() for kind in ("pose_feat", "rel_feat")],
         "no features of clip.mp4 from 3 s on, there are 3 clips"),
        (lambda f: (f / "pose_feat/test/clip").rename(f / "other"), "no pose_feat/clip"),
    ],
)  # fmt: skip
def test_bad_features_are_one_line(
    predict: Callable[[], Result], folder: Path, spoil: Callable[[Path], object], said: str
) -> None:
    spoil(folder)
    result = predict()
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("failed:") == 1


def test_a_folder_without_a_checkpoint_is_refused(predict: Callable[[], Result], folder: Path) -> None:
    (folder / "non_lora_trainables.bin").unlink()
    assert "no non_lora_trainables.bin" in str(predict().exception)
