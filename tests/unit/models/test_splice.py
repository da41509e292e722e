"""Scene and visual tokens land exactly at their placeholders."""

import pytest
import torch

from omnisila.errors import InputError
from omnisila.models.video_llm import splice


def test_each_vector_lands_at_its_placeholder_and_nothing_else_changes() -> None:
    ids = torch.tensor([[1, 9, 9, 2], [9, 5, 6, 9]])
    embeds, vectors = torch.randn(2, 4, 3), torch.randn(2, 2, 3)
    out = splice(embeds, ids, 9, vectors)
    expected = embeds.clone()
    for row, places in enumerate(([1, 2], [0, 3])):
        for order, place in enumerate(places):
            expected[row, place] = vectors[row, order]
    assert torch.equal(out, expected)


def test_gradients_reach_the_vectors_once_each() -> None:
    vectors = torch.randn(1, 2, 3, requires_grad=True)
    splice(torch.zeros(1, 4, 3), torch.tensor([[9, 0, 9, 0]]), 9, vectors).sum().backward()
    assert vectors.grad is not None
    assert torch.equal(vectors.grad, torch.ones(1, 2, 3))


@pytest.mark.parametrize("row", [[9, 9, 9, 0], [9, 0, 0, 0]])
def test_another_number_of_placeholders_is_refused_by_name(row: list[int]) -> None:
    with pytest.raises(InputError, match=rf"prompt 1: {row.count(9)} placeholders of token 9, wanted 2"):
        splice(torch.zeros(2, 4, 3), torch.tensor([[9, 9, 0, 0], row]), 9, torch.zeros(2, 2, 3))
