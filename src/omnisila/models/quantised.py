"""Weights of the language model in 8 or 4 bits, so that a 7B model fits small cards. Inference and LoRA only."""

from importlib.util import find_spec
from typing import Literal

import torch
from transformers import BitsAndBytesConfig

from omnisila.errors import WeightsError

Bits = Literal[4, 8]
FULL_PRECISION = ("lm_head", "multi_modal_projector", "video_tower", "image_tower", "vision_tower", "visual")


def quantisation(bits: Bits | None, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """How transformers is to load weights: only the language model's layers lose bits.

    Args:
        bits: None loses none, and needs no configuration.
        dtype: of the arithmetic.

    Raises:
        WeightsError: bitsandbytes is missing.
    """
    if bits is None:
        return None
    if find_spec("bitsandbytes") is None:
        raise WeightsError(f'{bits}-bit weights need bitsandbytes, which is missing. pip install "omnisila[quantise]".')
    skipped = list(FULL_PRECISION)
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=skipped,
    )
