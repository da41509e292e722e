"""The frame encoder: the documented processor's numbers, and the class token after the last norm."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import ViTConfig, ViTModel
from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

from omnisila.errors import WeightsError
from omnisila.scenes.nets.preparation import Preparation
from omnisila.scenes.nets.vit import FrameEncoder
from omnisila.weights.checkpoint_files import folder_digest

SIZES = {"hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)


def planar(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize(("height", "width"), [(48, 80), (300, 500), (224, 224), (100, 30)])
def test_pixels_are_the_documented_processor_s(height: int, width: int) -> None:
    image = picture(height, width)
    wanted = ViTImageProcessorPil()(image, return_tensors="pt")["pixel_values"]
    difference = (Preparation().pixels(planar(image)) - wanted).abs().max()
    assert difference <= 1.01 / 127.5, "one grey level at most"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    ViTModel(ViTConfig(**SIZES, image_size=32)).save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def test_the_class_token_is_the_plain_model_s(folder: Path) -> None:
    processor = ViTImageProcessorPil(size={"height": 32, "width": 32}, image_mean=[0.4] * 3, image_std=[0.3] * 3)
    processor.save_pretrained(folder)
    image = picture(48, 64)
    model = ViTModel.from_pretrained(folder).eval()
    with torch.inference_mode():
        wanted = model(**processor(image, return_tensors="pt")).last_hidden_state[:, 0]
    encoder = FrameEncoder.pretrained(str(folder))
    assert encoder.preparation.mean == (0.4, 0.4, 0.4)
    torch.testing.assert_close(encoder(planar(image)), wanted, atol=0.02, rtol=0.01)
    half = FrameEncoder.pretrained(str(folder), torch.bfloat16)(planar(image))
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, wanted, atol=0.1, rtol=0.05)


@pytest.mark.parametrize(
    "said", ['{"size": "large"}', '{"resample": 5}', '{"image_mean": [1, 2]}', "no json", '["list"]']
)
def test_a_preparation_that_cannot_be_done_is_refused(folder: Path, said: str) -> None:
    (folder / "preprocessor_config.json").write_text(said)
    with pytest.raises(WeightsError, match=r"preprocessor_config.json: .*Wanted size"):
        FrameEncoder.pretrained(str(folder))


def test_sizes_are_read_as_transformers_writes_them(folder: Path) -> None:
    path = folder / "preprocessor_config.json"
    for said, wanted in (
        ('{"size": 40}', (40, 40)),
        ('{"size": {"shortest_edge": 48}, "resample": 3}', (48, 48)),
        ('{"size": {"height": 16, "width": 24}}', (16, 24)),
        ("{}", (32, 32)),
    ):
        path.write_text(said)
        found = Preparation.beside(folder, 32)
        assert (found.height_px, found.width_px) == wanted
    assert Preparation.beside(folder / "nowhere").height_px == 224


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("cut", "damaged or cut short"),
        ("pickled", r"model\.safetensors: missing"),
        ("headless", "config.json: missing"),
        ("other", "type 'sam', wanted 'vit'"),
        ("unknown", "config.json: "),
    ],
)
def test_a_bad_folder_is_named(folder: Path, damage: str, said: str) -> None:
    weights, config = folder / "model.safetensors", folder / "config.json"
    if damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-1000])
    elif damage == "pickled":
        weights.rename(folder / "pytorch_model.bin")
    elif damage == "headless":
        config.unlink()
    elif damage == "other":
        config.write_text('{"model_type": "sam"}')
    else:
        config.write_text('{"model_type": "no such thing"}')
    with pytest.raises(WeightsError, match=said) as error:
        FrameEncoder.pretrained(str(folder))
    assert "\n" not in str(error.value)


def test_tensors_that_are_missing_are_named(folder: Path) -> None:
    ViTModel(ViTConfig(**{**SIZES, "num_hidden_layers": 1}, image_size=32)).save_pretrained(folder / "less")
    (folder / "less" / "model.safetensors").rename(folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"missing .*layers?\.1"):
        FrameEncoder.pretrained(str(folder))


def test_a_hub_that_cannot_be_reached_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match="owner/no-such-vit: cannot be fetched from the hub"):
        FrameEncoder.pretrained("owner/no-such-vit")


def test_the_digest_sees_weights_and_preparation(folder: Path) -> None:
    before = folder_digest(str(folder))
    assert folder_digest(str(folder)) == before
    (folder / "preprocessor_config.json").write_text("{}")
    assert folder_digest(str(folder)) != before
