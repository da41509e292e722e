"""Weights of the language model in 8 or 4 bits, so that a 7B model fits small cards. Inference and LoRA only."""

import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any, cast

import torch
from transformers import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING, BitsAndBytesConfig

from omnisila.errors import InputError, WeightsError
from omnisila.files import named_failure
from omnisila.models.pretrained_llm import Bits
from omnisila.weights.checkpoint_files import CONFIG, model_folder, weight_files
from omnisila.weights.pretrained import load_pretrained, read_config

# small beside the layers between them
FULL_PRECISION = ("lm_head", "multi_modal_projector", "video_tower", "image_tower", "vision_tower", "visual")
_INDEX = ".safetensors.index.json"


def quantisation(bits: Bits | None, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """How transformers is to load weights: only the language model's layers lose bits.

    Args:
        bits: None loses none, and needs no configuration.

    Raises:
        WeightsError: bitsandbytes is missing.
    """
    if bits is None:
        return None
    if find_spec("bitsandbytes") is None:
        raise WeightsError(f'{bits}-bit weights need bitsandbytes, which is missing. pip install "omnisila[quantise]".')
    skipped = [
        f"(?:.*[.])?{name}" for name in FULL_PRECISION
    ]  # wherever in the model: transformers asks from its start
    if bits == 8:
        return BitsAndBytesConfig(load_in_8bit=True, llm_int8_skip_modules=skipped)
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=dtype,
        llm_int8_skip_modules=skipped,
    )


def save_quantised(source: str | Path, bits: Bits, out: Path, dtype: torch.dtype) -> None:
    """A checkpoint with fewer bits, which loads as any does; nothing of a killed run stands at ``out``.

    It is stored before it computes anything: a forward pass on a processor packs 4-bit weights anew, and what is stored
    then is another model.

    Raises:
        InputError: ``out`` is there already.
        WeightsError: no checkpoint of transformers' form, one that is quantised already, or no bitsandbytes.
        OutputError: ``out`` cannot be written.
    """
    if out.exists():
        raise InputError(f"{out}: exists. Choose a new folder for the weights in {bits} bits.")
    config, folder, made = read_config(source), model_folder(source), out.with_name(f".{out.name}.partial")
    if getattr(config, "quantization_config", None) is not None:
        raise WeightsError(f"{source}: has fewer bits already. Give the checkpoint that it was made of.")
    model_class = cast("Any", MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING)[type(config)]
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = load_pretrained(model_class, folder, dtype, device, quantization=quantisation(bits, dtype))
    with named_failure(out):
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir(parents=True)
        weights = {path.name for path in weight_files(folder)}
        for path in folder.iterdir():  # tokenizer and settings
            if path.is_file() and path.name not in {*weights, CONFIG} and not path.name.endswith(_INDEX):
                shutil.copy(path, made)
        cast("Any", model).save_pretrained(made)
        made.rename(out)
