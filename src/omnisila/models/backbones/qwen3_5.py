"""Qwen3.5: Qwen3-VL's frames and times in words, nothing in deep layers, and layers that read in one direction.

Three of four layers keep a state instead of looking back, so answers cannot share a prompt through a mask (D230). The
model thinks aloud by default; its prompt closes the thought before it begins, as its own template does on demand.
Source: transformers' Qwen3.5 (there is no report of its own); checkpoints ``Qwen/Qwen3.5-*``.
"""

from collections.abc import Sequence
from functools import partial

from torch import nn

from omnisila.models.backbones.qwen3_vl import Qwen3VL
from omnisila.models.backbones.qwen3_vl import build as build_qwen3_vl


class Qwen35(Qwen3VL):
    """Frames, positions and words of a video as Qwen3-VL has them."""

    template = Qwen3VL.template._replace(closing="<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")
    recurrent = True

    def deep_layers(self) -> Sequence[nn.Module]:
        """None: the tower gives its last layer alone."""
        return ()


build = partial(build_qwen3_vl, family=Qwen35)
