"""A language model at positions of its family's making, with parts of embeddings that enter at deep layers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from jaxtyping import Float, Int
from torch import Tensor, nn


class Positioned(NamedTuple):
    """A model that reads its tokens at positions of the family's making instead of their places in the sequence.

    ``deep`` are layers to whose outputs a part of each embedding is added; the first part enters as usual.
    """

    model: Any
    positions: Int[Tensor, "*axes batch tokens"]
    deep: Sequence[nn.Module] = ()

    def __call__(self, **inputs: Any) -> Any:
        with stack_parts(self.deep, inputs["inputs_embeds"]) as embeds:
            return self.model(**{**inputs, "inputs_embeds": embeds, "position_ids": self.positions})

    def generate(self, **inputs: Any) -> Any:
        """Answers that go on from the last position."""
        with stack_parts(self.deep, inputs["inputs_embeds"]) as embeds:
            return self.model.generate(**{**inputs, "inputs_embeds": embeds}, position_ids=self.positions)

    def compute_transition_scores(self, *inputs: Any, **options: Any) -> Tensor:
        return self.model.compute_transition_scores(*inputs, **options)


@contextmanager
def stack_parts(
    layers: Sequence[nn.Module], embeds: Float[Tensor, "batch tokens wide"]
) -> Iterator[Float[Tensor, "batch tokens width"]]:
    """The part of wide embeddings that enters a model as usual; the others are added where its layers end.

    Only what is read first has such parts: tokens that follow are words. Source: Meng et al. 2024, DeepStack.
    """
    narrow, *parts = embeds.chunk(1 + len(layers), dim=-1)

    def adding(part: Float[Tensor, "batch tokens width"]) -> Any:
        left = [part]

        def add(_layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
            if not left:
                return output
            beams = len(output) // len(left[0])
            return output + left.pop().repeat_interleave(beams, dim=0)[:, -output.shape[1] :]

        return add

    hooks = [layer.register_forward_hook(adding(part)) for layer, part in zip(layers, parts, strict=True)]
    try:
        yield narrow
    finally:
        for hook in hooks:
            hook.remove()
