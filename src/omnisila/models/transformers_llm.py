"""Any transformers Video-LLM that is reached through its input embeddings, with scene tokens beside its video tokens.

What differs between families (words, frames, video tokens, positions) is one file each in
``omnisila.models.backbones``. Source: Omni-SILA 3.4, 4.3.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from omnisila.errors import InputError, WeightsError
from omnisila.models.backbone import Backbone
from omnisila.models.decoding import decode_branches, decode_visible, empty_cache, generate_answers
from omnisila.models.merging import VideoGrid, kept_count, merge_video
from omnisila.models.positioned import Positioned
from omnisila.models.prompt_writing import PromptTokenizer, PromptWriter
from omnisila.models.tokens import Generated, Tokens, splice
from omnisila.scenes.extractor import Entities

if TYPE_CHECKING:
    import transformers

ATTENTIONS = ("sdpa", "eager")  # those that take which token sees which


class TransformersVideoLLM(nn.Module):
    """A pretrained Video-LLM, its weights as they are: nothing is added to its vocabulary or its layers.

    ``<scene>`` is an id beyond the vocabulary, so that no text has it, no answer contains it and it needs no row of
    weights. A prompt has its scene tokens between the video and the instruction. The model's own visual tower stays
    inside, frozen.

    Args:
        model: what ``AutoModelForImageTextToText`` builds.
        backbone: its family's, around the same model.

    Attributes:
        kept_tokens: share of a window's video tokens that the language model reads (``models.merging``); 1 reads all.

    Raises:
        WeightsError: the tokenizer is another model's, or the attention ignores which token may see which.
    """

    def __init__(self, model: Any, tokenizer: "transformers.PreTrainedTokenizerBase", backbone: Backbone) -> None:
        from transformers import GenerationConfig

        super().__init__()
        table = model.get_input_embeddings()
        self.model = model
        self.tokenizer = tokenizer
        self.backbone = backbone
        self.width: int = table.embedding_dim
        self.max_tokens: int = model.config.get_text_config().max_position_embeddings
        template = backbone.template
        self.kept_tokens = 1.0
        self.words = PromptTokenizer(tokenizer, "" if template.apart else template.video_token)
        self.scene_id: int = max(len(tokenizer), table.num_embeddings)
        self.video_id = self._only_id(template.video_token) if template.video_token else self.scene_id + 1
        self.end_id = self._only_id(str(tokenizer.eos_token) if template.stop else template.end)
        pad_id = self.tokenizer.pad_token_id
        if not isinstance(pad_id, int) or pad_id == self.end_id:
            raise WeightsError(
                f"tokenizer: padding is token {pad_id}, wanted one that is not {self.backbone.template.end} "
                f"({self.end_id}). Set pad_token in tokenizer_config.json."
            )
        self.pad_id = pad_id
        self._check()
        # a checkpoint's own habits (sampling, penalties) would change which answer is the likeliest
        model.generation_config = GenerationConfig(pad_token_id=self.pad_id, eos_token_id=self.end_id)

    def train(self, mode: bool = True) -> Self:
        """The tower is frozen: it stays in evaluation mode."""
        super().train(mode)
        self.backbone.tower().eval()
        return self

    @property
    def device(self) -> torch.device:
        return self.model.device

    def prompt_ids(
        self, instruction: str, frames: int, scene_tokens: int | None = None, times_s: Sequence[float] = ()
    ) -> list[int]:
        """A prompt for that many frames; placeholders in the instruction itself are plain text.

        Args:
            frames: 0 where scene tokens stand for the visual ones.
            scene_tokens: places for scenes, by default one a frame; 0 gives the plain model's prompt.
            times_s: of the frames, for families whose prompts tell them.

        Raises:
            InputError: a prompt that is longer than the model reads; nothing is ever cut.
        """
        template, scenes = self.backbone.template, frames if scene_tokens is None else scene_tokens
        prompt = PromptWriter(self.words)
        prompt.write(template.opening)
        if template.video_last:
            prompt.write(template.before_instruction)
            prompt.write_typed(instruction)
        for part in self.backbone.video_parts(frames, times_s):
            if isinstance(part, str):
                prompt.write(part)
            else:
                prompt.place(self.video_id, part)
        prompt.write(template.after_video)
        if scenes:
            prompt.place(self.scene_id, scenes)
        if not template.video_last:
            prompt.write(template.before_instruction)
            prompt.write_typed(instruction)
        prompt.write(template.closing)
        prompt.end_text()
        if len(prompt.ids) > self.max_tokens:
            visual = prompt.ids.count(self.video_id)
            raise InputError(
                f"a prompt of {len(prompt.ids)} tokens ({visual} visual, {scenes} scene), the model reads "
                f"{self.max_tokens}. Shorten the instruction, or show fewer or smaller frames."
            )
        return prompt.ids

    def answer_ids(self, answer: str) -> list[int]:
        """An answer's tokens as they follow the prompt, with the terminator.

        Raises:
            WeightsError: a tokenizer that joins the prompt's last word with the answer.
        """
        template = self.backbone.template
        before = template.closing.strip() if template.before_answer else ""
        said = before + template.before_answer + answer
        if template.stop:
            return self.words.plain_ids(said + template.end)[len(self.words.plain_ids(before)) if before else 0 :]
        prompt, whole = (self.words.plain_ids(text) for text in (before, said))
        if whole[: len(prompt)] != prompt:
            raise WeightsError(
                f"the tokenizer joins the end of {before!r} with the answer {answer!r}. Use the model's own tokenizer."
            )
        return [*whole[len(prompt) :], self.end_id]

    def empty_cache(self) -> "transformers.Cache":
        return empty_cache(self.model)

    def turn_ids(self, instruction: str) -> list[int]:
        template = self.backbone.template
        return self.words.text_ids(template.turn, instruction, template.closing)

    @torch.no_grad()
    def see(
        self,
        frames: UInt8[Tensor, "batch frames height width 3"],
        there: Bool[Tensor, "batch frames"],
        video_px: Sequence[tuple[int, int]],
    ) -> Entities:
        """Features of windows' frames with the part of the frame that each window shows.

        Args:
            there: those that lie in the video; the others are masked out.
            video_px: (height, width) of each window's video, which its fitted frames do not tell.

        Raises:
            InputError: another number of frames than the tower takes.
        """
        with torch.autocast(frames.device.type, enabled=False):  # in training as in use
            encoded = self.backbone.encode(frames)
        device = encoded.mask.device
        area = torch.tensor([self.backbone.shown_area(*size_px) for size_px in video_px], device=device)
        return Entities(encoded.values, encoded.mask & there.to(device).unsqueeze(-1), area)

    def embed(self, ids: Int[Tensor, "batch tokens"], visual: Entities) -> Float[Tensor, "batch tokens width"]:
        """Token embeddings with video tokens in their places, zero for what is masked out.

        Raises:
            InputError: prompts for another number of frames, or visual features of another tower.
        """
        ids = ids.to(self.device)
        embeds = self.model.get_input_embeddings()(ids.masked_fill(ids >= self.scene_id, self.pad_id))
        # what enters deep layers: nothing for words
        embeds = F.pad(embeds, (0, len(self.backbone.deep_layers()) * self.width))
        if not visual.values.shape[1]:
            return splice(embeds, ids, self.video_id, embeds[:, :0])
        found, wanted = tuple(visual.values.shape[-2:]), (self.backbone.patches, self.backbone.features)
        if found != wanted:
            raise InputError(
                f"visual features of {found[0]} patches x {found[1]}, wanted {wanted[0]} x {wanted[1]}. Encode the "
                "frames with this model, for footage of the same size."
            )
        video = self.backbone.project(Entities(visual.values.to(embeds), visual.mask.to(embeds.device)))
        return splice(embeds, ids, self.video_id, video)

    def decode(
        self, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
    ) -> Float[Tensor, "batch predictions vocabulary"]:
        """Logits from the prompt's last token on.

        Raises:
            InputError: a sequence that is longer than the model reads.
        """
        embeds, tokens, positions = self._merge(embeds, tokens)
        if self.backbone.recurrent:
            return decode_branches(self.model, embeds, positions, tokens, self.max_tokens)
        model = Positioned(self.model, positions, self.backbone.deep_layers())
        return decode_visible(model, embeds, tokens, self.max_tokens)

    def generate(
        self,
        embeds: Float[Tensor, "batch tokens width"],
        tokens: Tokens,
        max_tokens: int = 256,
        beams: int = 1,
        cache: "transformers.Cache | None" = None,
    ) -> Generated:
        """The likeliest answers to prompts: greedy for one beam, beam search for more.

        Raises:
            InputError: answers that could pass the end of what the model reads.
        """
        embeds, tokens, positions = self._merge(embeds, tokens)
        model = Positioned(self.model, positions, self.backbone.deep_layers())
        stop = self.backbone.template.stop
        ends: dict[str, Any] = {"pad_id": self.pad_id, "end_id": self.end_id, "reads": self.max_tokens, "stop": stop}
        made = generate_answers(model, self.tokenizer, embeds, tokens, max_tokens, beams, **ends, cache=cache)
        before = self.backbone.template.before_answer
        return made._replace(texts=tuple(text.removeprefix(before) for text in made.texts))

    def merge_tokens(self, ratio: float) -> None:
        """Let the language model read only so large a share of a window's video tokens.

        Raises:
            InputError: a family whose video tokens have no steps in time.
        """
        if ratio < 1 and self.backbone.step_tokens is None:
            raise InputError(
                f"--video-tokens {ratio:g}: {type(self.backbone).__name__} pools its frames itself. Leave it out."
            )
        self.kept_tokens = ratio

    def merged_away(self, ids: Sequence[int]) -> int:
        """How many of a prompt's video tokens the language model does not read."""
        steps, places = self._steps(ids.count(self.video_id))
        return steps * places - kept_count(steps, places, self.kept_tokens) if steps else 0

    def _steps(self, video_tokens: int) -> tuple[int, int]:
        places = self.backbone.step_tokens or 1
        return (video_tokens // places if self.kept_tokens < 1 else 0), places

    def _merge(
        self, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
    ) -> tuple[Float[Tensor, "batch left width"], Tokens, Int[Tensor, "*axes batch left"]]:
        """What the language model reads: those that are left keep the positions that they had among all."""
        positions = self.backbone.positions(tokens)
        steps, places = self._steps(int((tokens.ids[0] == self.video_id).sum()))
        if not steps:
            return embeds, tokens, positions
        grid = VideoGrid(self.video_id, steps, places, self.width)
        return merge_video(embeds, tokens, positions, grid, self.kept_tokens)

    def _only_id(self, token: str) -> int:
        ids = self.words.special_ids(token)
        if len(ids) != 1:
            raise WeightsError(f"tokenizer: {token} is {len(ids)} tokens, wanted one. Use the model's own tokenizer.")
        return ids[0]

    def _check(self) -> None:
        config, rows = self.model.config, self.model.get_input_embeddings().num_embeddings
        token = self.backbone.template.video_token
        own = getattr(config, "video_token_id", None)  # some families give frames the tokens of pictures
        wanted = (config.image_token_id if own is None else own) if token else self.video_id
        if self.video_id != wanted or len(self.tokenizer) > rows:
            raise WeightsError(
                f"tokenizer: {len(self.tokenizer)} tokens, {token} is {self.video_id}; wanted at most {rows}, with "
                f"{wanted}. Use the model's own tokenizer."
            )
        if config._attn_implementation not in ATTENTIONS:
            raise WeightsError(
                f"attention {config._attn_implementation!r} takes no mask of which token sees which. Call "
                f"set_attn_implementation on the model with one of: {', '.join(ATTENTIONS)}."
            )
