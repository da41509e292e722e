"""Video-LLaVA through transformers: Vicuna reads the projected patches of every frame, then the scenes, then the text.

Source: ``LanguageBind/Video-LLaVA-7B-hf``. 8 frames of 257 patches are 2056 visual tokens, which nothing ever cuts.
"""

from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import Cache, GenerationConfig, PreTrainedTokenizerBase, VideoLlavaForConditionalGeneration

from omnisila.errors import InputError, WeightsError
from omnisila.models.decoding import decode_visible, generate_answers
from omnisila.models.quantised import Bits, quantisation
from omnisila.models.tokenizer import SCENE, VIDEO
from omnisila.models.tokens import Tokens
from omnisila.models.video_llm import Generated, splice
from omnisila.models.visual_tower import ClipTower
from omnisila.scenes.extractor import Entities
from omnisila.weights.pretrained import load_pretrained, load_tokenizer

VIDEO_LLAVA_7B = "LanguageBind/Video-LLaVA-7B-hf"
_TURN = "ASSISTANT:"


class VideoLlavaLLM(nn.Module):
    """Projector and language model of Video-LLaVA; without scene tokens, its logits are transformers' own to the bit.

    A prompt is ``USER: <video><scene>`` with one placeholder a patch and one a frame, a line end, the instruction and
    ``ASSISTANT:``; the answer follows after a space. ``<scene>`` takes the first spare row of the embedding table.

    Args:
        model: only its projector and its language model are used; its towers may be gone.
        tokenizer: the model's own; gets ``<scene>`` when it lacks it.

    Raises:
        WeightsError: a tokenizer of another model.
    """

    def __init__(self, model: VideoLlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase) -> None:
        super().__init__()
        text, vision = cast("Any", model.config.text_config), cast("Any", model.config.vision_config)
        self.model = model
        self.tokenizer = tokenizer
        self.width: int = text.hidden_size
        self.max_tokens: int = text.max_position_embeddings
        self.features: int = vision.hidden_size
        self.patches: int = (vision.image_size // vision.patch_size) ** 2 + 1
        tokenizer.add_tokens([SCENE], special_tokens=True)
        self._typed = tuple(token.content for token in tokenizer.added_tokens_decoder.values())
        self.video_id, self.scene_id = (cast("int", tokenizer.convert_tokens_to_ids(token)) for token in (VIDEO, SCENE))
        self.pad_id, self.end_id = (
            _named_id(tokenizer, name, self._table.num_embeddings) for name in ("pad_token", "eos_token")
        )
        self._check_tokenizer()
        # a checkpoint's own habits (sampling, penalties) would change which answer is the likeliest
        model.generation_config = GenerationConfig(pad_token_id=self.pad_id, eos_token_id=self.end_id)

    def prompt_ids(self, instruction: str, frames: int, scene_tokens: int | None = None) -> list[int]:
        """A prompt for windows of that many frames.

        Args:
            scene_tokens: places for scenes, by default one a frame; 0 gives the plain model's prompt.

        Raises:
            InputError: a prompt that is longer than the model reads; nothing is ever cut.
        """
        scene_tokens = frames if scene_tokens is None else scene_tokens
        counts = {self.video_id: frames * self.patches, self.scene_id: scene_tokens}
        ids = [
            token
            for token in self._template_ids(VIDEO + (SCENE if scene_tokens else ""), instruction)
            for _ in range(counts.get(token, 1))
        ]
        if len(ids) > self.max_tokens:
            raise InputError(
                f"a prompt of {len(ids)} tokens ({frames * self.patches} visual, {scene_tokens} scene), the model "
                f"reads {self.max_tokens}. Shorten the instruction or show fewer frames."
            )
        return ids

    def answer_ids(self, answer: str) -> list[int]:
        """An answer's tokens as they follow the prompt, with the terminator."""
        turn, ids = (self._plain_ids(text) for text in (_TURN, f"{_TURN} {answer}"))
        if ids[: len(turn)] != turn:
            raise WeightsError(
                f"the tokenizer joins the end of {_TURN!r} with the answer {answer!r}. Use the model's own tokenizer."
            )
        return [*ids[len(turn) :], self.end_id]

    def turn_ids(self, instruction: str) -> list[int]:
        return self._plain_ids(f"USER: {instruction} {_TURN}")

    def embed(self, ids: Int[Tensor, "batch tokens"], visual: Entities) -> Float[Tensor, "batch tokens width"]:
        """Token embeddings with one visual token a patch at ``<video>``, zero for patches that are masked out.

        Raises:
            InputError: prompts for another number of frames, or visual features of another width.
        """
        if visual.values.shape[-1] != self.features:
            raise InputError(
                f"visual features of width {visual.values.shape[-1]}, wanted {self.features}. "
                "Encode the frames with the visual tower that belongs to this model."
            )
        embeds = self._table(ids.to(self._table.weight.device))
        return splice(embeds, ids, self.video_id, self._visual_tokens(visual, embeds))

    def decode(
        self, embeds: Float[Tensor, "batch tokens width"], tokens: Tokens
    ) -> Float[Tensor, "batch predictions vocabulary"]:
        """Logits from the prompt's last token on.

        Raises:
            InputError: a sequence that is longer than the model reads.
        """
        return decode_visible(self.model, embeds, tokens, self.max_tokens)

    def generate(
        self,
        embeds: Float[Tensor, "batch tokens width"],
        tokens: Tokens,
        max_tokens: int = 256,
        beams: int = 1,
        cache: Cache | None = None,
    ) -> Generated:
        """The likeliest answers to prompts: greedy for one beam, beam search for more.

        Raises:
            InputError: answers that would pass the end of what the model reads.
        """
        ends = {"pad_id": self.pad_id, "end_id": self.end_id, "reads": self.max_tokens}
        made = generate_answers(self.model, self.tokenizer, embeds, tokens, max_tokens, beams, **ends, cache=cache)
        return made._replace(texts=tuple(text.removeprefix(" ") for text in made.texts))

    @property
    def _table(self) -> nn.Embedding:
        return cast("nn.Embedding", self.model.get_input_embeddings())

    def _visual_tokens(
        self, visual: Entities, embeds: Float[Tensor, "batch tokens width"]
    ) -> Float[Tensor, "batch places width"]:
        projected = self.model.model.multi_modal_projector(visual.values.to(embeds))
        return (projected * visual.mask.to(embeds.device).unsqueeze(-1)).flatten(1, 2)

    def _template_ids(self, places: str, instruction: str) -> list[int]:
        start, rest = f"USER: {places}", f"\n{instruction} {_TURN}"
        if any(token in instruction for token in self._typed):  # what a user types is text, not a place for a token
            return [*self.tokenizer.encode(start), *self._plain_ids(rest)]
        return self.tokenizer.encode(start + rest)

    def _plain_ids(self, text: str) -> list[int]:
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    def _check_tokenizer(self) -> None:
        rows = self._table.num_embeddings
        if self.video_id != self.model.config.video_token_id or self.scene_id >= rows:
            raise WeightsError(
                f"tokenizer: {VIDEO} is token {self.video_id}, wanted {self.model.config.video_token_id}; {SCENE} is "
                f"token {self.scene_id}, wanted one of the table's {rows} rows. Use the model's own tokenizer."
            )


def _named_id(tokenizer: PreTrainedTokenizerBase, name: str, rows: int) -> int:
    token = getattr(tokenizer, name)
    found = None if token is None else cast("int", tokenizer.convert_tokens_to_ids(token))
    if found is None or found >= rows:
        raise WeightsError(
            f"tokenizer: {name} is {token!r} ({found}), wanted one of the embedding table's {rows} rows. "
            "Use the model's own tokenizer."
        )
    return found


class VideoLlava(NamedTuple):
    """The language side, and the visual tower whose features it reads."""

    llm: VideoLlavaLLM
    tower: ClipTower


def load_video_llava(
    source: str | Path = VIDEO_LLAVA_7B,
    dtype: torch.dtype = torch.bfloat16,
    device: str | torch.device = "cpu",
    bits: Bits | None = None,
) -> VideoLlava:
    """Video-LLaVA from a folder or the hub, in evaluation mode. Its image tower is left out.

    Args:
        bits: hold the language model's weights in 8 or 4 bits; needs bitsandbytes.

    Raises:
        WeightsError: nothing there, files missing or cut short, another architecture, or no network.
    """
    model = load_pretrained(
        VideoLlavaForConditionalGeneration, source, dtype, device, quantization=quantisation(bits, dtype)
    )
    return taken_apart(model, load_tokenizer(source), str(source))


def taken_apart(
    model: VideoLlavaForConditionalGeneration, tokenizer: PreTrainedTokenizerBase, source: str = "Video-LLaVA"
) -> VideoLlava:
    """The language side and the video tower of a model; its image tower is left out.

    Args:
        source: what messages call it.

    Raises:
        WeightsError: a tower read at several layers, or a tokenizer of another model.
    """
    towers, layer = cast("Any", model.model), model.config.vision_feature_layer
    if not isinstance(layer, int):
        raise WeightsError(
            f"{source}: vision_feature_layer is {layer}, wanted one layer. Use Video-LLaVA's own config."
        )
    tower = ClipTower(towers.video_tower, layer)
    towers.video_tower = towers.image_tower = None  # what is no part of the language side takes no memory there
    return VideoLlava(VideoLlavaLLM(model, tokenizer).eval(), tower)
