"""Families of Video-LLMs are probed where each keeps its language model."""

import pytest
import torch

from omnisila.models.probing import PROMPTS, pooled_tokens

FRAMES = 4


@pytest.mark.parametrize("family", ["qwen2_5_vl", "llava_onevision"])
def test_pooled_tokens_do_not_depend_on_the_batch_and_depend_on_the_prompt(make_llm, family):
    llm = make_llm(family)
    frames = torch.randint(
        0, 256, (2, FRAMES, 56, 84, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    both = pooled_tokens(llm, llm.backbone.encode(frames), PROMPTS[1])
    assert both.shape == (2, llm.width)
    torch.testing.assert_close(
        both[:1], pooled_tokens(llm, llm.backbone.encode(frames[:1]), PROMPTS[1]), atol=1e-5, rtol=1e-4
    )
    assert not torch.allclose(both[0], both[1])
    assert not torch.allclose(both, pooled_tokens(llm, llm.backbone.encode(frames), PROMPTS[0]))
