"""Video-LLMs as their authors published them: a Llama, and beside it a visual side of their own making.

What the baselines of the papers' tables share: one model of both sides, and how their files are found and read.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    CLIPVisionModel,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)
from transformers.initialization import no_init_weights

from omnisila.errors import WeightsError
from omnisila.models.backbone import VideoSettings
from omnisila.models.clip_tower import ClipPreprocessing
from omnisila.weights.checkpoint_files import CONFIG, first_line
from omnisila.weights.loading import load_into
from omnisila.weights.official import read_state
from omnisila.weights.pretrained import load_tokenizer, read_settings

VICUNA_V0 = ("vicuna-7b-v0", "llama-7b", "vicuna-7b-delta-v0")  # its folder, or those of base and delta
CLIP_PIXELS = VideoSettings(image_mean=ClipPreprocessing().mean, image_std=ClipPreprocessing().std, size={})
CLIP_HEAD = 64  # width of an attention head in every published CLIP
BUFFERS = ("rotary_emb.inv_freq", "embeddings.position_ids")  # stored by older versions, made anew today
_LLAMA = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "max_position_embeddings", "rms_norm_eps", "hidden_act", "tie_word_embeddings",
)  # fmt: skip


class PublishedVideoLLM(nn.Module):
    """Both sides as one model: its language side answers for it wherever transformers is asked.

    Args:
        visual: the tower, and what makes video tokens of its features.
    """

    def __init__(self, language_model: LlamaForCausalLM, visual: nn.Module) -> None:
        super().__init__()
        self.language_model, self.visual = language_model, visual

    def forward(self, **inputs: Any) -> Any:
        return self.language_model(**inputs)

    def __getattr__(self, name: str) -> Any:
        """What is not here is the language model's: its configuration, its embeddings, its way to generate."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            # by the base class: self would end up here again
            return getattr(super().__getattr__("language_model"), name)

    @property
    def generation_config(self) -> GenerationConfig:
        return self.language_model.generation_config

    @generation_config.setter
    def generation_config(self, config: GenerationConfig) -> None:
        self.language_model.generation_config = config


def fill_parts(
    language: tuple[Mapping[str, Any], Mapping[str, Tensor]],
    side: Callable[[int], nn.Module],
    visual: Mapping[str, Tensor],
    source: Path,
    dtype: torch.dtype,
    renamed: Callable[[str], str | None] | None = None,
) -> PublishedVideoLLM:
    """Both sides with their tensors, every one in its place and none left over.

    Args:
        language: what ``config.json`` says of the language model, and its tensors.
        side: builds the visual side for a language model of that width.
        renamed: what a tensor is called here, its key beginning with ``language_model.`` or ``visual.``.

    Raises:
        WeightsError: tensors are missing, left over or of another shape; the message names them.
    """
    usual = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with no_init_weights():  # filling billions at random would take minutes
            llm = llama(language[0], source, len(language[1].get("lm_head.weight", ())) or None)
            model = PublishedVideoLLM(llm, side(llm.config.hidden_size))
    finally:
        torch.set_default_dtype(usual)
    return load_into(model, {**above(language[1], "language_model."), **above(visual, "visual.")}, source, renamed)


def part(folder: Path, *names: str, where_from: str) -> Path:
    """A file or folder of a baseline, under the first of the names that is there.

    Raises:
        WeightsError: none is.
    """
    found = next((folder / name for name in names if (folder / name).exists()), None)
    if found is None:
        raise WeightsError(f"{folder}: lacks {' or '.join(names)}. Put it there ({where_from}).")
    return found


def llama(settings: Mapping[str, Any], folder: Path, tokens: int | None = None) -> LlamaForCausalLM:
    """A Llama of the sizes that a published ``config.json`` states, without values.

    Args:
        settings: the file's content, or the part of it that is about the language model.
        tokens: rows of its embeddings, where tokens were added to what the file says.

    Raises:
        WeightsError: the file states no sizes of a Llama.
    """
    stated = {name: settings[name] for name in _LLAMA if name in settings}
    if "max_sequence_length" in settings:  # what the first conversions called it
        stated.setdefault("max_position_embeddings", settings["max_sequence_length"])
    try:
        config = LlamaConfig(**{**stated, "vocab_size": tokens or settings["vocab_size"]})
        return LlamaForCausalLM._from_config(config, attn_implementation="sdpa")
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{folder / CONFIG}: no configuration of a Llama ({first_line(error)}). Download it again."
        ) from error


def language_settings(folder: Path) -> dict[str, Any]:
    """What ``config.json`` of a language model says.

    Raises:
        WeightsError: there is none.
    """
    settings = read_settings(folder / CONFIG)
    if not settings:
        raise WeightsError(f"{folder / CONFIG}: missing. Download the whole folder.")
    return settings


def llama_tokenizer(folder: Path, added: tuple[str, ...] = ()) -> PreTrainedTokenizerBase:
    """A Llama's tokenizer: ``<s>`` begins every prompt, padding is no end.

    Args:
        added: special tokens that the authors add to it, in their order.

    Raises:
        WeightsError: missing, damaged, or without a token that begins a text.
    """
    tokenizer = load_tokenizer(
        folder, PreTrainedTokenizerFast if (folder / "tokenizer.json").exists() else LlamaTokenizer
    )
    tokenizer.add_tokens([token for token in added if token not in tokenizer.get_vocab()], special_tokens=True)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None or tokenizer.pad_token == tokenizer.eos_token:
        tokenizer.pad_token = tokenizer.unk_token
    if tokenizer.encode("") != [tokenizer.bos_token_id]:
        tokenizer.add_bos_token = True
    if tokenizer.encode("") != [tokenizer.bos_token_id]:
        raise WeightsError(f"{folder}: the tokenizer puts no <s> before a text. Use the model's own tokenizer.")
    return tokenizer


def language_state(folder: Path, whole: str, base: str, delta: str, where_from: str) -> tuple[dict[str, Tensor], Path]:
    """A language model's tensors, and the folder that its configuration and tokenizer lie in.

    Args:
        whole: the name of its folder; else it is a sum.
        base: of the folder with what a delta is added to.
        delta: of the folder with the delta.

    Raises:
        WeightsError: neither is there, or they do not belong together.
    """
    if not (folder / whole).exists() and (folder / delta).exists():
        summands = read_state(part(folder, base, where_from=where_from)), read_state(folder / delta)
        return with_delta(*summands, folder / delta), folder / delta
    found = part(folder, whole, delta, where_from=where_from)
    return read_state(found), found


def with_delta(base: Mapping[str, Tensor], delta: Mapping[str, Tensor], source: Path) -> dict[str, Tensor]:
    """Published differences added to what they are differences from; what the base lacks is whole in the delta.

    Embeddings of tokens that the base does not have are the delta's rows beyond the base's.

    Raises:
        WeightsError: shapes that cannot be added.
    """
    summed: dict[str, Tensor] = {}
    for key, difference in delta.items():
        own = base.get(key)
        if own is None or key.endswith(BUFFERS):
            summed[key] = difference
            continue
        if own.shape[1:] != difference.shape[1:] or len(own) > len(difference):
            raise WeightsError(
                f"{source}: {key} is {tuple(difference.shape)}, the base's is {tuple(own.shape)}. Give the base that "
                "the delta was made from."
            )
        summed[key] = difference.clone()
        summed[key][: len(own)] += own.to(difference.dtype)  # tokens that the delta adds have no rows in the base
    return summed


def clip_of(state: Mapping[str, Tensor], source: Path) -> CLIPVisionModel:
    """OpenAI's visual transformer of the sizes that its tensors have, without values.

    Args:
        state: its tensors by transformers' names.

    Raises:
        WeightsError: they are not a CLIP's.
    """
    try:
        patch = state["embeddings.patch_embedding.weight"]
        positions, feedforward = state["embeddings.position_embedding.weight"], state["encoder.layers.0.mlp.fc1.weight"]
    except KeyError as error:
        raise WeightsError(f"{source}: no CLIP tower, {error} is missing. Download it again.") from error
    return CLIPVisionModel._from_config(
        CLIPVisionConfig(
            hidden_size=patch.shape[0],
            intermediate_size=feedforward.shape[0],
            num_hidden_layers=count_below(state, "encoder.layers."),
            num_attention_heads=max(1, patch.shape[0] // CLIP_HEAD),
            image_size=round((len(positions) - 1) ** 0.5) * patch.shape[-1],
            patch_size=patch.shape[-1],
            hidden_act="quick_gelu",
        ),
        attn_implementation="sdpa",
    )


def below(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose keys begin so, without it."""
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def above(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors with something before each key, buffers that are made anew left out."""
    return {prefix + key: tensor for key, tensor in state.items() if not key.endswith(BUFFERS)}


def projector_name(key: str) -> str:
    """The name of a tensor whose projector LLaVA's authors keep within the language model."""
    return key.replace("language_model.model.mm_projector.", "visual.projector.")


def count_below(state: Mapping[str, Tensor], prefix: str) -> int:
    """How many layers have tensors whose keys begin so."""
    return len({key.removeprefix(prefix).split(".")[0] for key in state if key.startswith(prefix)})
