"""Visual background modelling: what a place looks like with people and things blacked out.

Detected objects and whatever differs from the running background are filled pure black before the visual encoder sees
the frame. Source: Omni-SILA 3.1 (x_b); masks from boxes and background subtraction instead of SAM
(decision D20).
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.scenes.chunked import Chunk, SceneExtractor
from omnisila.scenes.extractor import Layout, Sampled
from omnisila.scenes.nets.efficientnet_lite import FEATURES, EfficientNetLite0

LAYOUT = Layout({"mean": FEATURES, "max": FEATURES, "colour": 8, "foreground": 2})


class BackgroundConfig(Config):
    """How the foreground is told from the background."""

    rate_hz: float = 1.0
    memory: float = 0.8  # share of the running background that one more sample leaves
    min_change: float = 0.12  # of full scale, for a pixel to be foreground
    min_samples: int = 3  # before the running background is trusted
    max_changed: float = 0.5  # more than this changed at once is a cut or a moving camera: boxes alone count
    batch_size: int = 16

    def build(self, encoder: EfficientNetLite0) -> "BackgroundExtractor":
        return BackgroundExtractor(self, encoder)


class BackgroundState(NamedTuple):
    """The running background at 224 px, and how many samples it rests on."""

    mean: Float[Tensor, "3 224 224"] | None = None
    samples: int = 0


class BackgroundExtractor(nn.Module, SceneExtractor):
    """One entity per frame: pooled features of the blacked-out frame, colours, and how much was blacked out."""

    layout = LAYOUT

    def __init__(self, config: BackgroundConfig, encoder: EfficientNetLite0) -> None:
        super().__init__()
        self.config, self.encoder = config, encoder
        self.rate_hz = config.rate_hz

    @classmethod
    def of_profile(cls, profile: Any, shared: EfficientNetLite0) -> "BackgroundExtractor":
        return profile.background.build(shared)

    def extract(self, chunk: Chunk, state: BackgroundState | None) -> tuple[Sampled, BackgroundState]:
        tracks = [chunk.tracks[place] for place in chunk.places(self.rate_hz)]
        boxes = [torch.stack([track.box for track in seen]) if seen else torch.zeros(0, 4) for seen in tracks]
        values, mask, after = self(chunk.pictures(self.rate_hz), boxes, state or BackgroundState())
        return Sampled(values, mask), after

    @torch.inference_mode()
    def forward(
        self,
        images: UInt8[Tensor, "frames height width 3"],
        boxes_frac: list[Float[Tensor, "_objects 4"]],
        state: BackgroundState,
    ) -> tuple[Float[Tensor, "frames 1 features"], Bool[Tensor, "frames 1"], BackgroundState]:
        """Background entities of consecutive samples.

        Args:
            state: what the samples before these left behind.
        """
        small = F.interpolate(images.permute(0, 3, 1, 2).float(), (224, 224), mode="bilinear", antialias=True) / 255
        masks: list[Tensor] = []
        changes: list[Tensor] = []
        for picture, boxes in zip(small, boxes_frac, strict=True):
            mask, change, state = self._foreground(picture, boxes, state)
            masks.append(mask)
            changes.append(change)
        if not masks:
            return torch.zeros(0, 1, LAYOUT.width), torch.zeros(0, 1, dtype=torch.bool), state
        foreground = torch.stack(masks)
        black = (small * ~foreground[:, None] * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
        parts = [self.encoder.embed(part) for part in black.split(self.config.batch_size)]
        share = torch.stack([foreground.float().mean(dim=(1, 2)), torch.stack(changes)], dim=1)
        mean, strongest = torch.cat([p.mean for p in parts]), torch.cat([p.max for p in parts])
        values = torch.cat([mean, strongest, colours(small), share], dim=1)[:, None]
        return values, torch.ones(len(values), 1, dtype=torch.bool), state

    def _foreground(
        self, picture: Tensor, boxes: Tensor, state: BackgroundState
    ) -> tuple[Bool[Tensor, "224 224"], Float[Tensor, ""], BackgroundState]:
        mask = torch.zeros(224, 224, dtype=torch.bool)
        for left, top, right, bottom in (boxes * 224).round().long().tolist():
            mask[top:bottom, left:right] = True
        change = torch.zeros(())
        if state.mean is not None:
            difference = (picture - state.mean).abs().amax(0)
            change = difference.mean()
            changed = F.max_pool2d((difference > self.config.min_change).float()[None, None], 5, 1, 2)[0, 0] > 0
            if state.samples >= self.config.min_samples and changed.float().mean() <= self.config.max_changed:
                mask |= changed
        memory = min(self.config.memory, state.samples / (state.samples + 1))
        mean = picture if state.mean is None else memory * state.mean + (1 - memory) * picture
        return mask, change, BackgroundState(mean, state.samples + 1)


def colours(pictures: Float[Tensor, "frames 3 height width"]) -> Float[Tensor, "frames 8"]:
    """Means and spreads of red, green and blue, and the shares of flame-like and smoke-like pixels.

    Flame: bright, red over green over blue. Smoke: grey and neither dark nor white.
    """
    red, green, blue = pictures.unbind(1)
    brightest, spread = pictures.amax(1), pictures.amax(1) - pictures.amin(1)
    flame = (red > 0.7) & (red > green + 0.08) & (green > blue + 0.08)
    smoke = (spread < 0.08) & (brightest > 0.35) & (brightest < 0.85)
    shares = [flame.float().mean(dim=(1, 2)), smoke.float().mean(dim=(1, 2))]
    return torch.cat([pictures.mean(dim=(2, 3)), pictures.std(dim=(2, 3)), torch.stack(shares, 1)], dim=1)
