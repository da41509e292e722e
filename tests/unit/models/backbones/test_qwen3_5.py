"""Qwen3.5: layers that keep a state, and what its published files hold besides."""

import torch
from safetensors.torch import load_file, save_file

from omnisila.models.decoding import branch_paths
from omnisila.models.pretrained_llm import from_pretrained
from omnisila.models.tokens import batch_answers, batch_continuations, batch_prompts, continuation_log_probs

QUESTIONS = ("Which event?", "Where is the man who runs away from the house?")
ANSWERS = ("Fighting in the street", "Fire", "Normal")


def test_branches_are_sequences_of_their_own():
    branched = batch_continuations([[1, 2], [3]], [[4, 5, 6], [7], [8, 9]], 0).tokens
    assert branch_paths(branched) == [[0, 1], [2]]  # the last token of each is predicted and never read
    assert branch_paths(batch_prompts([[1, 2], [3]], 0)) == [[]]
    assert branch_paths(batch_answers([[1], [2, 3]], [[4, 5, 6], [7]], 0).tokens) == [[0, 1]]


def test_a_prompt_that_is_read_once_says_what_it_says_when_each_answer_reads_it(make_llm, make_frames):
    """With gradients, as in training, each branch reads the prompt again."""
    llm = make_llm("qwen3_5")
    prompts = [llm.prompt_ids(question, 8, 0) for question in QUESTIONS]
    shared = batch_continuations(prompts, [llm.answer_ids(answer) for answer in ANSWERS], llm.pad_id)
    embeds = llm.embed(shared.tokens.ids, llm.backbone.encode(make_frames(2))).detach().requires_grad_()
    with torch.no_grad():
        once = continuation_log_probs(llm.decode(embeds, shared.tokens), shared)
    again = continuation_log_probs(llm.decode(embeds, shared.tokens), shared)
    torch.testing.assert_close(once, again, atol=1e-4, rtol=1e-4)
    again.sum().backward()
    assert embeds.grad is not None
    assert embeds.grad[:, 20].abs().sum() > 0  # of the prompt
    assert embeds.grad[:, -1].abs().sum() > 0  # and of the last branch


def test_tensors_for_predicting_several_tokens_at_once_are_passed_over(make_llm, tmp_path):
    """Published checkpoints hold them under ``mtp``."""
    llm = make_llm("qwen3_5")
    llm.model.save_pretrained(tmp_path)
    llm.tokenizer.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    save_file({**load_file(file), "mtp.fc.weight": torch.ones(2, 2)}, file, metadata={"format": "pt"})
    assert from_pretrained(tmp_path, torch.float32).backbone.recurrent
