"""Questions about the same pictures, one after another: a prompt is read from where it differs from the last one."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from omnisila.models.tokens import Generated, Tokens
from omnisila.models.transformers_llm import TransformersVideoLLM


class KeptPrompt:
    """Keys and values of the last prompt; they take as much memory as that prompt and its answer.

    A model whose layers keep a state cannot go back in it, so it reads every prompt anew.
    """

    def __init__(self, llm: TransformersVideoLLM) -> None:
        self.llm = llm
        self._ids: list[int] = []
        self._cache = llm.empty_cache()

    def generate(self, embeds: Float[Tensor, "1 tokens width"], tokens: Tokens, max_tokens: int) -> Generated:
        """The greedy answer to one prompt; the pictures are those of all prompts before.

        Args:
            embeds: of the whole prompt.

        Raises:
            InputError: an answer that could pass the end of what the model reads.
        """
        ids = tokens.ids[0].tolist()
        self._forget(behind=self._shared(ids))
        made = self.llm.generate(embeds, tokens, max_tokens, 1, self._cache)
        self._ids = ids
        return made

    def _shared(self, ids: Sequence[int]) -> int:
        """How many tokens this prompt begins with that the last one began with too; all pictures, or none."""
        # the last token is always read anew: what it gives begins the answer
        pairs = zip(self._ids, ids[:-1], strict=False)
        shared = next(
            (place for place, (old, new) in enumerate(pairs) if old != new), min(len(self._ids), len(ids) - 1)
        )
        whole = self.llm.video_id not in ids[shared:]
        return shared if whole and not self.llm.backbone.recurrent else 0

    def _forget(self, behind: int) -> None:
        kept = behind - self.llm.merged_away(self._ids[:behind])
        self._ids = []  # should reading fail, nothing is known
        beyond = self._cache.get_seq_length() - kept
        if kept <= 0:
            self._cache = self.llm.empty_cache()
        elif beyond:
            self._cache.crop(-beyond)
