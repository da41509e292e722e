"""The compact model's tokenizer: byte-level BPE, so that every text has tokens and comes back unchanged."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from tokenizers import Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from tokenizers.trainers import BpeTrainer

if TYPE_CHECKING:
    import transformers

PAD, START, END, VIDEO, SCENE = SPECIAL_TOKENS = ("<pad>", "<s>", "</s>", "<video>", "<scene>")


def train_tokenizer(texts: Iterable[str], vocabulary: int = 1024) -> Tokenizer:
    """Learn words and word parts from instructions and answers.

    Digits stay single, so that every time is spelt in the same ten tokens.

    Args:
        texts: all instructions and answers, in any order; the same texts give the same tokenizer.
        vocabulary: largest number of tokens; 256 of them are bytes.
    """
    tokenizer: Any = Tokenizer(BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\d"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer: Any = BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sorted(texts), trainer)
    return tokenizer


def as_transformers(tokenizer: Tokenizer) -> "transformers.PreTrainedTokenizerFast":
    """The same tokenizer, as transformers generates with it and keeps it in a folder."""
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        bos_token=START,
        eos_token=END,
        additional_special_tokens=[VIDEO, SCENE],
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def token_id(tokenizer: Tokenizer, token: str) -> int:
    return cast("int", tokenizer.token_to_id(token))


def plain_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """A placeholder that a user types is text, not a place for a token."""
    tokenizer.encode_special_tokens = True
    return tokenizer.encode(text, add_special_tokens=False).ids
