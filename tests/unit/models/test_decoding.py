"""What is made of the sequences that transformers generates."""

from types import SimpleNamespace
from typing import Any

import torch

from omnisila.models.decoding import generate_answers
from omnisila.models.tokenizer import PAD, as_transformers, token_id, train_tokenizer
from omnisila.models.tokens import batch_prompts


def test_a_padding_token_inside_an_answer_does_not_cut_it() -> None:
    """A trained model may say it; the terminator alone ends an answer, and one without it is taken whole."""
    tokenizer = train_tokenizer(["a b c"], 300)
    pad_id, end_id = token_id(tokenizer, PAD), 7
    made = torch.tensor([[50, pad_id, 51, end_id], [52, end_id, pad_id, pad_id], [53, pad_id, pad_id, 54]])
    transformers_model: Any = SimpleNamespace(
        generate=lambda **_: SimpleNamespace(sequences=made, scores=()),
        compute_transition_scores=lambda sequences, *_, **__: -sequences.float(),
    )
    tokens = batch_prompts([[1, 2]] * 3, pad_id)
    theirs: Any = as_transformers(tokenizer)
    ends: dict[str, Any] = {"pad_id": pad_id, "end_id": end_id, "reads": 64}
    answers = generate_answers(transformers_model, theirs, torch.zeros(3, 2, 4), tokens, 4, 1, **ends)
    assert answers.ids == ((50, pad_id, 51, end_id), (52, end_id), (53, pad_id, pad_id, 54))
    assert [len(row) for row in answers.log_probs] == [4, 2, 4]
