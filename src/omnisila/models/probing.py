"""Probing: what a frozen Video-LLM's last hidden states know of a reaction, read by two linear layers.

Source: emotional-reaction paper 4.2 and Table 4.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from omnisila.config import Config
from omnisila.errors import InputError
from omnisila.models.compact import CompactVideoLLM
from omnisila.models.layers import masked_mean
from omnisila.models.reaction import EMOTIONS, ReactionBatch, ReactionModel
from omnisila.models.tokens import IGNORED, Tokens, batch_answers, batch_prompts
from omnisila.models.video_llm import VideoLLM
from omnisila.scenes.extractor import Entities

# Emotional-reaction paper 4.2, prompts 1 and 2; their descriptions are also ViPER's text.
PROMPTS = ("Describe the video.", "Describe the reaction of the subject in the video.")

Activation = Literal["linear", "relu", "leaky-relu", "tanh", "sigmoid", "gelu", "elu"]
ACTIVATIONS: dict[Activation, type[nn.Module]] = {  # emotional-reaction paper, Table 4
    "linear": nn.Identity,
    "relu": nn.ReLU,
    "leaky-relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
    "gelu": nn.GELU,
    "elu": nn.ELU,
}

# Which positions are averaged: all of the prompt with its video tokens, the video tokens alone, or the answer's own.
Pooling = Literal["sequence", "video", "answer"]


class ProbeConfig(Config):
    """Sizes of the probing network; the paper does not say how wide its hidden layer is."""

    kind: Literal["probe"] = "probe"
    hidden: int = 128
    activation: Activation = "relu"

    def build(self, widths: Mapping[str, int]) -> "Probe":
        """An untrained probe for the pooled tokens of that width.

        Raises:
            InputError: more than one modality.
        """
        if len(widths) != 1:
            raise InputError(f"a probe reads one vector a clip, not {', '.join(widths)}. Choose one stream.")
        return Probe(widths, self.hidden, ACTIVATIONS[self.activation]())


class Probe(ReactionModel):
    """Linear, activation, linear, sigmoid over one vector a clip. Source: emotional-reaction paper 4.2, Figure 2.

    Args:
        widths: the one stream and its width; it has a single frame, the pooled tokens.
        hidden: width between the layers.
    """

    def __init__(self, widths: Mapping[str, int], hidden: int, activation: nn.Module) -> None:
        super().__init__(widths)
        (self.stream,) = self.widths
        self.first = nn.Linear(self.widths[self.stream], hidden)
        self.activation = activation
        self.second = nn.Linear(hidden, EMOTIONS)

    def forward(self, batch: ReactionBatch) -> Float[Tensor, "batch emotions"]:
        pooled = masked_mean(self.read(batch, self.stream), self.there(batch)[:, 0])
        return self.second(self.activation(self.first(pooled))).sigmoid()


@torch.inference_mode()
def pooled_tokens(
    llm: VideoLLM, visual: Entities, instruction: str, pooling: Pooling = "sequence", answer_tokens: int = 256
) -> Float[Tensor, "batch width"]:
    """The mean of a Video-LLM's last hidden states over the tokens of each clip, padding never among them.

    Args:
        llm: frozen; no scene tokens are shown to it.
        instruction: one of ``PROMPTS``.
        pooling: ``sequence``: the prompt with its video tokens. ``video``: without the prompt's words. ``answer``: the
            model answers first, and the states that its answer was read from are averaged.
    """
    batch, frames = visual.values.shape[:2]
    prompts = [llm.prompt_ids(instruction, frames, 0)] * batch
    tokens = batch_prompts(prompts, llm.pad_id)
    pooled = tokens.visible[:, -1]  # all but padding
    if pooling == "video":
        pooled = pooled & (tokens.ids == llm.video_id)
    elif pooling == "answer":
        said = llm.generate(llm.embed(tokens.ids, visual), tokens, answer_tokens, 1).texts
        tokens, targets = batch_answers(prompts, [llm.answer_ids(text) for text in said], llm.pad_id)
        pooled = F.pad(targets != IGNORED, (tokens.prompt_length - 1, 0))
    states = last_hidden_states(llm, llm.embed(tokens.ids, visual), tokens)
    return masked_mean(states.float(), pooled.to(states.device))


def last_hidden_states(
    llm: VideoLLM, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
) -> Float[Tensor, "batch tokens width"]:
    """What the language model's head would read at every token: the last layer's states after the final norm."""
    with _listening(_decoder(llm)) as heard:
        llm.decode(embeds, tokens)
    return heard[-1]


def _decoder(llm: VideoLLM) -> nn.Module:
    """The layers below the language model's head, wherever a family keeps them."""
    if isinstance(llm, CompactVideoLLM):
        return llm.language_model.model["norm"]
    for module in llm.modules():
        if hasattr(module, "get_decoder"):
            return cast("Any", module).get_decoder()
    raise InputError(f"{type(llm).__name__}: no transformers model inside, so it has no hidden states to probe.")


@contextmanager
def _listening(decoder: nn.Module) -> Iterator[list[Tensor]]:
    heard: list[Tensor] = []

    hook = decoder.register_forward_hook(
        lambda _module, _inputs, output: heard.append(output if isinstance(output, Tensor) else output[0])
    )
    try:
        yield heard
    finally:
        hook.remove()
