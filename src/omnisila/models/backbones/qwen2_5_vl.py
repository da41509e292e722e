"""Qwen2.5-VL: two frames a temporal patch, frames of any shape, rotary positions in time, height and width.

Source: Bai et al. 2025, Qwen2.5-VL Technical Report; checkpoints ``Qwen/Qwen2.5-VL-*-Instruct``.
"""

import math
from typing import Any

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor, nn

from omnisila.errors import InputError
from omnisila.models.backbone import CHATML, Backbone, Footage, VideoSettings, preprocess
from omnisila.models.tokens import Tokens
from omnisila.scenes.extractor import Entities

USUAL = VideoSettings(  # as documented for video: CLIP's statistics, 128 to 768 tokens a frame
    image_mean=(0.48145466, 0.4578275, 0.40821073),
    image_std=(0.26862954, 0.26130258, 0.27577711),
    size={"shortest_edge": 128 * 28 * 28, "longest_edge": 768 * 28 * 28},
)
LARGEST_ASPECT = 200
ROUNDING = 1e-4  # of times, which are floating-point; positions are whole numbers
VIDEO = 2  # the model's own mark of a video token among token types; text is 0


class Qwen25VL(Backbone):
    """Frames keep about their shape and size, within a smallest and largest number of pixels.

    Attributes:
        size_px: (height, width) that every frame is brought to.
        step_s: seconds between temporal patches.
    """

    template = CHATML._replace(
        opening="<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>",
        after_video="<|vision_end|>",
    )
    times_in_positions = True

    def __init__(self, model: Any, settings: VideoSettings, size_px: tuple[int, int], rate_hz: float) -> None:
        super().__init__(model)
        self.settings = settings
        self.size_px = size_px
        vision = model.config.vision_config
        self.patch_px: int = vision.patch_size
        self.merge: int = vision.spatial_merge_size
        self.frames_per_step: int = vision.temporal_patch_size
        self.step_s = self.frames_per_step / rate_hz
        self.grid = (size_px[0] // self.patch_px, size_px[1] // self.patch_px)
        self.patches = self.grid[0] * self.grid[1] // self.merge**2
        self.features: int = vision.out_hidden_size
        self.step_tokens = self.patches
        self.video_id: int = model.config.video_token_id

    def tower(self) -> nn.Module:
        return self.model.model.visual

    def token_count(self, frames: int) -> int:
        """Merged patches of every temporal patch; the last frame of an odd window counts twice."""
        return self.steps(frames) * self.patches

    @torch.no_grad()
    def encode(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Entities:
        """Merged patches; frames of one temporal patch share its features."""
        batch, count = frames.shape[:2]
        patches = self.patchify(frames.to(self.model.device))
        grid = self.video_grid(batch, self.steps(count)).to(patches.device)
        steps = self.merged(patches.flatten(0, 1), grid).unflatten(1, (-1, self.patches))
        values = steps.repeat_interleave(self.frames_per_step, dim=1)[:, :count]
        return Entities(values, torch.ones(values.shape[:3], dtype=torch.bool, device=values.device))

    def merged(
        self, patches: Float[Tensor, "patches pixels"], grid: Int[Tensor, "videos 3"]
    ) -> Float[Tensor, "videos merged features"]:
        """What the tower makes of the patches of videos that stand one after the other."""
        return torch.stack(tuple(self.model.model.get_video_features(patches, grid, return_dict=True).pooler_output))

    def patchify(self, frames: UInt8[Tensor, "batch frames height width 3"]) -> Float[Tensor, "batch patches pixels"]:
        """Pixels of each patch, in the order of colour, time, row, column; patches that will merge stand together."""
        batch, count = frames.shape[:2]
        pixels = preprocess(frames, self.size_px, self.settings).unflatten(0, (batch, count))
        missing = -count % self.frames_per_step
        pixels = torch.cat([pixels, pixels[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1)
        steps = pixels.unflatten(1, (-1, self.frames_per_step))
        rows = steps.unflatten(-2, (-1, self.merge, self.patch_px))
        # batch, step, frame, colour, block row, row in block, pixel row, block column, column in block, pixel column
        blocks = rows.unflatten(-1, (-1, self.merge, self.patch_px))
        return blocks.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9).flatten(6).flatten(1, 5)

    def project(self, visual: Entities) -> Float[Tensor, "batch video_tokens width"]:
        """One row a temporal patch; the tower has merged and projected already."""
        absent = ~visual.mask.any(-1)[..., None, None]
        return visual.values.masked_fill(absent, 0)[:, :: self.frames_per_step].flatten(1, 2)

    def positions(self, tokens: Tokens) -> Int[Tensor, "3 batch tokens"]:
        """The model's own positions of the prompt; what follows goes on from the prompt's last token in all three.

        Continuations that share a prompt therefore all begin at the same position. Where the frames' times are known,
        temporal positions are those of the times, also of uneven ones.
        """
        end, places = tokens.prompt_length, tokens.positions.cpu()
        real = tokens.visible[:, end - 1, :end].cpu()
        ids = tokens.ids[:, :end].cpu()
        video = ids == self.video_id
        if not video.any():
            return places.expand(3, -1, -1).to(self.model.device)
        timing = {"second_per_grid_ts": torch.full((len(ids),), self.step_s)} if self.times_in_positions else {}
        prompt, _ = self.model.model.get_rope_index(
            ids,
            mm_token_type_ids=video.int() * VIDEO,
            video_grid_thw=self.video_grid(len(ids), int(video[0].sum()) // self.patches),
            attention_mask=real,
            **timing,
        )
        for row, times_s in enumerate(tokens.times_s if self.times_in_positions else ()):
            begun_s = torch.tensor(times_s[:: self.frames_per_step], dtype=torch.float64) - times_s[0]
            passed = (begun_s * self.model.config.vision_config.tokens_per_second + ROUNDING).long()
            begin = prompt[0, row, video[row]].min()
            prompt[0, row, video[row]] = begin + passed.repeat_interleave(self.patches)
        beyond = places[:, end:] - places[:, end - 1 : end]
        return torch.cat([prompt, prompt[..., -1:] + beyond], dim=-1).to(self.model.device)

    def steps(self, frames: int) -> int:
        return math.ceil(frames / self.frames_per_step)

    def video_grid(self, batch: int, steps: int) -> Int[Tensor, "batch 3"]:
        """Temporal patches, patch rows and patch columns of each video."""
        return torch.tensor([[steps, *self.grid]]).repeat(batch, 1)


def fitting_size(height_px: int, width_px: int, multiple_px: int, smallest_px: int, largest_px: int) -> tuple[int, int]:
    """Height and width near those of a frame, in whole blocks, with an area within limits.

    Raises:
        InputError: a frame more than 200 times as long as wide.
    """
    if max(height_px, width_px) > LARGEST_ASPECT * min(height_px, width_px):
        raise InputError(
            f"frames of {height_px} x {width_px} pixels, wanted one side at most {LARGEST_ASPECT} times the other. "
            "Crop them."
        )
    sides = (height_px, width_px)
    whole = [round(side / multiple_px) for side in sides]
    area = whole[0] * whole[1] * multiple_px**2
    if area > largest_px:
        shrink = math.sqrt(height_px * width_px / largest_px)
        whole = [max(1, math.floor(side / shrink / multiple_px)) for side in sides]
    elif area < smallest_px:
        grow = math.sqrt(smallest_px / (height_px * width_px))
        whole = [math.ceil(side * grow / multiple_px) for side in sides]
    return whole[0] * multiple_px, whole[1] * multiple_px


def build(model: Any, settings: dict[str, Any], footage: Footage) -> Qwen25VL:
    """For footage of that size and rate.

    Raises:
        InputError: a frame more than 200 times as long as wide.
    """
    vision, usual = model.config.vision_config, USUAL.changed_by(settings)
    size_px = fitting_size(
        footage.height_px,
        footage.width_px,
        vision.patch_size * vision.spatial_merge_size,
        usual.size["shortest_edge"],
        usual.size["longest_edge"],
    )
    return Qwen25VL(model, usual, size_px, footage.rate_hz)
