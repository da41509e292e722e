"""SAM prompted by boxes: the documented processor's numbers, each frame encoded once, masks at the frame's size."""

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import SamConfig, SamModel
from transformers.models.sam.image_processing_pil_sam import SamImageProcessorPil

from omnisila.scenes.nets.sam import MASKS_AT_ONCE, BoxSegmenter

BOXES = torch.tensor([[0.1, 0.2, 0.5, 0.9], [0.4, 0.0, 1.0, 0.6]])


def tiny() -> SamModel:
    torch.manual_seed(3)
    vision = {
        "hidden_size": 16, "output_channels": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 64,
        "patch_size": 16, "window_size": 2, "global_attn_indexes": [1], "num_pos_feats": 8, "mlp_dim": 32,
        "initializer_range": 0.3,
    }  # fmt: skip
    prompts = {"hidden_size": 16, "image_size": 64, "patch_size": 16}
    decoder = {"hidden_size": 16, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 16}
    return SamModel(SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)).eval()


@pytest.fixture(scope="module")
def segmenter() -> BoxSegmenter:
    return BoxSegmenter(tiny())


def pictures(count: int, height: int, width: int) -> Tensor:
    random = np.random.default_rng(1)
    coarse = random.integers(0, 255, (count, height // 10 + 1, width // 10 + 1, 3), dtype=np.uint8)
    smooth = np.kron(coarse, np.ones((1, 10, 10, 1), np.uint8))[:, :height, :width]
    return torch.from_numpy(np.ascontiguousarray(smooth))


def as_documented(model: SamModel, image: Tensor, boxes_frac: Tensor) -> Tensor:
    """Union of masks by transformers' own processor and the model's plain forward."""
    side = {"height": 64, "width": 64}
    processor = SamImageProcessorPil(size={"longest_edge": 64}, pad_size=side)
    inputs = processor(image.numpy(), return_tensors="pt")
    height, width = inputs["reshaped_input_sizes"][0]
    prompts = boxes_frac * torch.tensor([width, height, width, height], dtype=torch.float32)
    with torch.inference_mode():
        out = model(pixel_values=inputs["pixel_values"], input_boxes=prompts[None], multimask_output=False)
    masks = processor.post_process_masks(out.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"])
    return masks[0][:, 0].any(0)


@pytest.mark.parametrize(("height", "width"), [(75, 120), (121, 40), (64, 64), (30, 33)])
def test_pixels_are_the_documented_processor_s(segmenter: BoxSegmenter, height: int, width: int) -> None:
    (image,) = pictures(1, height, width)
    side = {"height": 64, "width": 64}
    wanted = SamImageProcessorPil(size={"longest_edge": 64}, pad_size=side)(image.numpy(), return_tensors="pt")
    found, inner_height, inner_width = segmenter._pixels(image[None])
    assert (inner_height, inner_width) == tuple(wanted["reshaped_input_sizes"][0])
    difference = (found - wanted["pixel_values"]).abs().max()
    assert difference <= 1.01 / 255 / 0.224, "one grey level at most"


@pytest.mark.parametrize(("height", "width"), [(75, 120), (121, 40)])
def test_masks_are_the_documented_ones(segmenter: BoxSegmenter, height: int, width: int) -> None:
    (image,) = pictures(1, height, width)
    wanted = as_documented(segmenter.model, image, BOXES)
    (found,) = segmenter(image[None], [BOXES])
    assert found.shape == (height, width)
    assert 0.02 < wanted.float().mean() < 0.98, "a mask that says something"
    assert (found != wanted).float().mean() < 0.02


def test_a_batch_gives_what_each_frame_gives_however_many_boxes_it_has(segmenter: BoxSegmenter) -> None:
    images = pictures(3, 48, 64)
    many = torch.rand(MASKS_AT_ONCE + 3, 4, generator=torch.Generator().manual_seed(0)).sort(dim=1).values
    boxes = [BOXES[:1], torch.zeros(0, 4), many]
    together = segmenter(images, boxes)
    for index in range(3):
        (alone,) = segmenter(images[index : index + 1], boxes[index : index + 1])
        assert (together[index] != alone).float().mean() < 0.01
    assert not together[1].any()


def test_no_boxes_need_no_network(segmenter: BoxSegmenter) -> None:
    assert not segmenter(pictures(2, 48, 64), [torch.zeros(0, 4)] * 2).any()


def test_a_frame_is_encoded_once(segmenter: BoxSegmenter) -> None:
    calls: list[int] = []
    handle = segmenter.model.vision_encoder.register_forward_hook(lambda *parts: calls.append(len(parts[1][0])))
    segmenter(pictures(2, 48, 64), [BOXES, BOXES[:1]])
    handle.remove()
    assert calls == [2]


def test_in_bfloat16_only_the_encoder_is_coarse(segmenter: BoxSegmenter) -> None:
    half = BoxSegmenter(tiny(), torch.bfloat16)
    assert half.model.mask_decoder.iou_token.weight.dtype == torch.float32
    images = pictures(1, 75, 120)
    differing = half(images, [BOXES]) != segmenter(images, [BOXES])
    assert differing.float().mean() < 0.1
