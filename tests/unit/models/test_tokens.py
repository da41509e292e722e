"""Prompts, answers and branches: what sees what, and which logit predicts which token."""

from omnisila.models.tokenizer import plain_ids, train_tokenizer
from omnisila.models.tokens import IGNORED, batch_answers, batch_continuations, batch_prompts

PAD = 0


def test_prompts_end_together_and_padding_is_not_seen() -> None:
    tokens = batch_prompts([[5, 6, 7], [8]], PAD)
    assert tokens.ids.tolist() == [[5, 6, 7], [0, 0, 8]]
    assert tokens.positions[1, -1] == 0
    assert tokens.visible[0].tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert tokens.visible[1, 2].tolist() == [False, False, True]


def test_answers_are_predicted_from_the_prompts_last_token_on() -> None:
    tokens, targets = batch_answers([[5, 6], [7]], [[1, 2, 3], [4, 3]], PAD)
    assert tokens.ids.tolist() == [[5, 6, 1, 2], [0, 7, 4, 3]]
    assert targets.tolist() == [[1, 2, 3], [4, 3, IGNORED]]
    assert tokens.ids.shape[1] - tokens.prompt_length + 1 == targets.shape[1]
    assert tokens.positions.tolist() == [[0, 1, 2, 3], [0, 0, 1, 2]]


def test_branches_see_the_prompt_and_themselves_only() -> None:
    branches = batch_continuations([[5, 6], [7]], [[1, 2, 3], [4, 3], [1]], PAD)
    tokens = branches.tokens
    assert tokens.ids.tolist() == [[5, 6, 1, 2, 4], [0, 7, 1, 2, 4]]
    assert tokens.positions.tolist() == [[0, 1, 2, 3, 2], [0, 0, 1, 2, 1]]
    assert tokens.visible[0, 2:].int().tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 0], [1, 1, 0, 0, 1]]
    assert tokens.visible[1, 4].int().tolist() == [0, 1, 0, 0, 1]
    assert branches.read_at.tolist() == [0, 1, 2, 0, 3, 0]
    assert branches.wanted.tolist() == [1, 2, 3, 4, 3, 1]
    assert branches.counts.tolist() == [3, 2, 1]


def test_the_tokenizer_gives_every_text_back_and_learns_the_same_twice() -> None:
    texts = ["Which event does this video show?", "Traffic Accidents", "Fighting from 8s to 15.25s"]
    tokenizer, again = train_tokenizer(texts, 350), train_tokenizer(reversed(texts), 350)
    assert tokenizer.get_vocab() == again.get_vocab()
    for text in (*texts, "Größe 10:42 中文 \n two  spaces", " leading", "<scene> typed by a user"):
        assert tokenizer.decode(plain_ids(tokenizer, text)) == text
    assert len(plain_ids(tokenizer, "15.25")) == 5


def test_words_of_the_corpus_are_single_tokens() -> None:
    tokenizer = train_tokenizer(["Fighting", "Normal"] * 3, 400)
    assert [len(plain_ids(tokenizer, word)) for word in ("Fighting", "Normal")] == [1, 1]
