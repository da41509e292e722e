"""The compact model's Llama is transformers' to the bit: drawn weights, logits, gradients."""

import pytest
import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, LlamaConfig, LlamaForCausalLM
from transformers.masking_utils import sdpa_mask

from omnisila.models.layers import attend
from omnisila.models.llama import Llama

SEED, VOCABULARY, WIDTH, TOKENS = 3, 300, 48, 20


def attend_as_ours(_module, queries, keys, values, mask, dropout=0.0, scaling=None, **_) -> tuple[Tensor, None]:
    """In float32 under autocast too, which transformers' own is not."""
    return attend(queries, keys, values, mask, dropout, scaling).transpose(1, 2).contiguous(), None


@pytest.fixture
def theirs() -> LlamaForCausalLM:
    AttentionInterface.register("as_ours", attend_as_ours)
    AttentionMaskInterface.register("as_ours", sdpa_mask)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        max_position_embeddings=128, tie_word_embeddings=True, pad_token_id=0,
    )  # fmt: skip
    config._attn_implementation = "as_ours"
    torch.manual_seed(SEED)
    return LlamaForCausalLM(config)


@pytest.fixture
def ours() -> Llama:
    torch.manual_seed(SEED)
    return Llama(VOCABULARY, 0, 3, WIDTH, num_heads=4, feedforward=64, dropout=0.0)


def test_a_seed_draws_the_same_weights_under_the_same_names(ours: Llama, theirs: LlamaForCausalLM) -> None:
    drawn, wanted = ours.state_dict(), theirs.state_dict()
    assert list(drawn) == list(wanted)
    assert all(torch.equal(drawn[name], wanted[name]) for name in wanted)
    assert [name for name, _ in ours.named_parameters()] == [name for name, _ in theirs.named_parameters()]


@pytest.mark.parametrize("half", [False, True])
def test_logits_and_gradients_are_the_same(ours: Llama, theirs: LlamaForCausalLM, half: bool) -> None:
    embeds = torch.randn(5, TOKENS, WIDTH, requires_grad=True)
    positions = torch.randint(0, 30, (5, TOKENS))
    visible = (torch.rand(5, TOKENS, TOKENS) < 0.5) | torch.eye(TOKENS, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        found = ours(embeds, positions, visible, 7)
        wanted = theirs(
            inputs_embeds=embeds, attention_mask=visible[:, None], position_ids=positions, use_cache=False,
            logits_to_keep=7,
        ).logits  # fmt: skip
    assert torch.equal(found, wanted)
    mine = torch.autograd.grad(found.float().square().sum(), [embeds, *ours.parameters()])
    other = torch.autograd.grad(wanted.float().square().sum(), [embeds, *theirs.parameters()])
    assert all(torch.equal(a, b) for a, b in zip(mine, other, strict=True))


def test_what_generates_has_the_same_weights_and_draws_nothing(ours: Llama) -> None:
    before = torch.get_rng_state()
    model = ours.as_transformers(128)
    assert torch.equal(before, torch.get_rng_state())
    own = ours.state_dict()
    assert all(value.data_ptr() == own[name].data_ptr() for name, value in model.state_dict().items())
