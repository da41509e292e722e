"""Prompts in tokens: text where it stands, places of video and scene tokens, and a user's text that is only text."""

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import transformers


class PromptTokenizer:
    """A tokenizer that knows whether a text begins a prompt or goes on behind a video token.

    Args:
        anchor: a special token that texts which go on are tokenised behind; a tokenizer may mark only the first word
            of a text. "" tokenises each stretch of text as if it began one, as some families' authors do.
    """

    def __init__(self, tokenizer: "transformers.PreTrainedTokenizerBase", anchor: str) -> None:
        self.tokenizer, self.anchor = tokenizer, anchor
        special = (re.escape(token.content) for token in tokenizer.added_tokens_decoder.values())
        self._special = re.compile("|".join(sorted(special, key=len, reverse=True)) or r"(?!)")

    def text_ids(self, before: str, typed: str = "", after: str = "", first: bool = False) -> list[int]:
        """Tokens of one stretch of text; special tokens that a user typed in it are plain text."""
        text = before + typed + after
        if not self._special.search(typed):
            if first or not self.anchor:
                return self.tokenizer.encode(text, add_special_tokens=first) if text or first else []
            return self.special_ids(self.anchor + text)[1:]
        begin = self.tokenizer.encode("") if first else []
        head = max((match.end() for match in self._special.finditer(before)), default=0)
        found = self._special.search(after)
        tail = found.start() if found else len(after)
        ids = self.plain_ids(before[head:] + typed + after[:tail])
        return [*begin, *self.special_ids(before[:head]), *ids, *self.special_ids(after[tail:])]

    def special_ids(self, text: str) -> list[int]:
        """Tokens of a text whose special tokens are meant."""
        return self.tokenizer.encode(text, add_special_tokens=False)

    def plain_ids(self, text: str) -> list[int]:
        """Tokens of a text in which nothing is special."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)


class PromptWriter:
    """Writes one prompt from its start to its end: each stretch of text between places is tokenised in one piece."""

    def __init__(self, tokenizer: PromptTokenizer) -> None:
        self.tokenizer = tokenizer
        self.ids: list[int] = []
        self._first = True
        self._before, self._typed, self._after = "", "", ""

    def write(self, text: str) -> None:
        """The template's own words."""
        if self._typed:
            self._after += text
        else:
            self._before += text

    def write_typed(self, text: str) -> None:
        """A user's words, once a prompt."""
        self._typed = text

    def place(self, token_id: int, count: int) -> None:
        """So many places for vectors."""
        self.end_text()
        self.ids += [token_id] * count

    def end_text(self) -> None:
        """The stretch of text is over."""
        self.ids += self.tokenizer.text_ids(self._before, self._typed, self._after, self._first)
        self._first, self._before, self._typed, self._after = False, "", "", ""
