"""What words say of each frame: a sentence, as the vector of a language encoder.

The sentence is the template that CLIP finds most like the frame, or a description that a Video-LLM wrote: of the whole
clip, then repeated, or of each frame. Source: emotional-reaction paper 4.3 and Figure 3; ViPER's text token.
"""

from collections.abc import Sequence
from typing import Any, Self, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformers import CLIPModel, RobertaModel

from omnisila.errors import InputError
from omnisila.scenes.nets.preparation import FILE, Preparation
from omnisila.scenes.reaction.clip import Modality
from omnisila.weights.checkpoint_files import model_folder
from omnisila.weights.pretrained import load_pretrained, load_tokenizer

# How somebody looks who shows an emotion: as many sentences for each as ViPER has; the wording is our own.
TEMPLATES: dict[str, tuple[str, ...]] = {
    "Adoration": (
        "somebody gazes with tender eyes and a soft smile",
        "a face full of love for what it sees",
        "a person melts at something sweet",
        "someone looks on with deep affection",
        "a person tilts the head and smiles warmly",
        "a devoted look on somebody's face",
        "someone is charmed and presses a hand to the chest",
    ),
    "Amusement": (
        "a person bursts out laughing",
        "somebody grins from ear to ear",
        "someone chuckles with the mouth closed",
        "a face creased by laughter",
        "a person giggles and covers the mouth",
        "someone finds this very funny",
        "somebody smirks at a joke",
        "a person laughs with the head thrown back",
        "someone tries hard not to laugh",
    ),
    "Anxiety": (
        "a person bites the lip nervously",
        "somebody watches with a worried frown",
        "someone looks tense and uneasy",
        "a face tight with worry",
        "a person fidgets and cannot sit still",
        "someone waits for something bad to happen",
        "somebody stares with a stiff jaw",
    ),
    "Disgust": (
        "a person wrinkles the nose in disgust",
        "somebody pulls up the upper lip at something foul",
        "someone turns the face away, revolted",
        "a grimace of distaste",
        "a person sticks out the tongue at something nasty",
        "someone looks sick at the sight of this",
    ),
    "Empathic Pain": (
        "a person winces at somebody else's hurt",
        "someone flinches as if it were their own injury",
        "a face twisted in pity for another",
        "somebody sucks in air through the teeth and looks away",
        "a person suffers along with what is on the screen",
        "someone shuts the eyes at another's pain",
    ),
    "Fear": (
        "a person stares with eyes wide in terror",
        "somebody recoils from something frightening",
        "someone is scared stiff",
        "a frightened face with an open mouth",
        "a person hides the face behind the hands in fear",
        "someone jumps back, alarmed",
    ),
    "Surprise": (
        "a person raises both eyebrows, astonished",
        "somebody's jaw drops",
        "someone gasps at something unexpected",
        "a startled face with round eyes",
        "a person blinks and cannot believe it",
        "someone is caught off guard",
    ),
    "Neutral": (
        "a person watches without any expression",
        "a calm, relaxed face",
        "somebody looks at a screen, unmoved",
        "someone sits still and shows no feeling",
        "a blank face",
        "a person is attentive but shows nothing",
    ),
}
SENTENCES = tuple(sentence for sentences in TEMPLATES.values() for sentence in sentences)
EMOTION_OF = tuple(emotion for emotion, sentences in TEMPLATES.items() for _ in sentences)


CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
OF_TEMPLATES, OF_DESCRIPTIONS = "roberta_of_templates", "roberta_of_descriptions"  # kinds
_BATCH = 16
_RESERVED = 2  # positions that RoBERTa counts from


class SentenceEncoder:
    """RoBERTa's first token after the last layer: 768 numbers of ``roberta-base``."""

    def __init__(self, model: RobertaModel, tokenizer: Any) -> None:
        self._model, self._tokenizer = model, tokenizer
        config = cast("Any", model.config)
        self.width: int = config.hidden_size
        self._max_tokens = min(config.max_position_embeddings - _RESERVED, tokenizer.model_max_length)

    @classmethod
    def pretrained(cls, source: str, device: torch.device) -> Self:
        """From a folder or a hub id.

        Raises:
            WeightsError: it is missing, or no RoBERTa.
        """
        model: Any = load_pretrained(RobertaModel, source, whole=False, add_pooling_layer=False).requires_grad_(False)
        return cls(model.to(device), load_tokenizer(source))

    @torch.inference_mode()
    def encode(self, sentences: Sequence[str]) -> Float[Tensor, "sentences width"]:
        """Of sentences cut off at the encoder's limit."""
        device = next(self._model.parameters()).device
        found = [torch.zeros(0, self.width)]
        for begin in range(0, len(sentences), _BATCH):
            tokens = self._tokenizer(
                list(sentences[begin : begin + _BATCH]),
                padding=True,
                truncation=True,
                max_length=self._max_tokens,
                return_tensors="pt",
            )
            states = self._model(
                input_ids=tokens["input_ids"].to(device), attention_mask=tokens["attention_mask"].to(device)
            ).last_hidden_state
            found.append(states[:, 0].float().cpu())
        return torch.cat(found)


class TemplateMatcher:
    """A CLIP model that says which of ``SENTENCES`` a picture is most like."""

    def __init__(self, model: CLIPModel, tokenizer: Any, preparation: Preparation) -> None:
        self._model, self._preparation = model, preparation
        self._device = next(model.parameters()).device
        self.input_px = preparation.height_px
        limit = cast("Any", model.config).text_config.max_position_embeddings
        tokens = tokenizer(list(SENTENCES), padding=True, truncation=True, max_length=limit, return_tensors="pt")
        with torch.inference_mode():
            found: Any = model.get_text_features(
                input_ids=tokens["input_ids"].to(self._device), attention_mask=tokens["attention_mask"].to(self._device)
            )
        self._sentences = _directions(found.pooler_output)

    @classmethod
    def pretrained(cls, source: str, device: torch.device) -> Self:
        """From a folder or a hub id such as ``openai/clip-vit-base-patch32``.

        Raises:
            WeightsError: it is missing, or no CLIP.
        """
        model: Any = load_pretrained(CLIPModel, source, whole=False).requires_grad_(False)
        folder, size_px = model_folder(source), model.config.vision_config.image_size
        said = Preparation.beside(folder, size_px)
        if not (folder / FILE).exists():
            said = said.replace(mean=CLIP_MEAN, std=CLIP_STD, interpolation="bicubic")
        return cls(model.to(device), load_tokenizer(source), said)

    @torch.inference_mode()
    def choose_sentences(self, images: Float[Tensor, "images 3 height width"]) -> Int[Tensor, "images"]:
        """Index in ``SENTENCES`` of the most similar one to each RGB picture with values 0..255."""
        found = [torch.zeros(0, dtype=torch.long)]
        for part in images.split(_BATCH):
            if len(part):
                seen: Any = self._model.get_image_features(self._preparation.pixels(part.to(self._device)))
                found.append((_directions(seen.pooler_output) @ self._sentences.T).argmax(1).cpu())
        return torch.cat(found)


def encode_description(encoder: SentenceEncoder, description: str | Sequence[str], frames: int, name: str) -> Modality:
    """A description of the clip for every frame, or one each.

    Raises:
        InputError: another number of descriptions than frames, or an empty one for the whole clip.
    """
    if isinstance(description, str):
        if not description.strip():
            raise InputError(f"{name}: its description is empty. Give text, or none.")
        values = encoder.encode([description]).expand(frames, -1)
        # rows of an expanded tensor are one memory, which safetensors refuses
        return Modality(values.clone(), torch.ones(frames, dtype=torch.bool))
    if len(description) != frames:
        raise InputError(f"{name}: {len(description)} descriptions, wanted one, or one for each of {frames} frames.")
    mask = torch.tensor([bool(sentence.strip()) for sentence in description])
    return Modality.where(encoder.encode(description), mask)


def encode_matches(
    encoder: SentenceEncoder, matcher: TemplateMatcher, images: Float[Tensor, "images 3 height width"]
) -> Float[Tensor, "images features"]:
    """The vector of each picture's best template."""
    chosen = matcher.choose_sentences(images)
    different = chosen.unique()
    vectors = encoder.encode([SENTENCES[index] for index in different.tolist()])
    return vectors[torch.searchsorted(different, chosen)]


def _directions(vectors: Float[Tensor, "vectors width"]) -> Float[Tensor, "vectors width"]:
    return vectors / vectors.norm(dim=1, keepdim=True)
