"""The probe beside a plain computation, and pooled tokens beside transformers' own hidden states."""

import math

import pytest
import torch
import torch.nn.functional as F

from omnisila.errors import InputError
from omnisila.labels import IMPLICIT
from omnisila.models.compact import CompactConfig
from omnisila.models.probing import ACTIVATIONS, PROMPTS, ProbeConfig, pooled_tokens
from omnisila.models.reaction import ReactionBatch
from omnisila.models.tokenizer import train_tokenizer
from omnisila.scenes.extractor import Entities

WIDTH = 5
BY_HAND = {
    "linear": lambda x: x,
    "relu": lambda x: max(x, 0.0),
    "leaky-relu": lambda x: x if x > 0 else 0.01 * x,
    "tanh": math.tanh,
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
    "gelu": lambda x: 0.5 * x * (1 + math.erf(x / math.sqrt(2))),
    "elu": lambda x: x if x > 0 else math.exp(x) - 1,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_probe_is_linear_activation_linear_sigmoid(activation):
    torch.manual_seed(0)
    probe = ProbeConfig(hidden=4, activation=activation).build({"pooled": WIDTH})
    pooled = torch.randn(3, 1, WIDTH)
    answers = probe(ReactionBatch({"pooled": pooled}, {"pooled": torch.ones(3, 1, dtype=torch.bool)}))
    first, second = (layer.weight.tolist() for layer in (probe.first, probe.second))
    biases = [layer.bias.tolist() for layer in (probe.first, probe.second)]
    for clip in range(3):
        x = pooled[clip, 0].tolist()
        hidden = [
            BY_HAND[activation](sum(w * v for w, v in zip(row, x, strict=True)) + bias)
            for row, bias in zip(first, biases[0], strict=True)
        ]
        for emotion, (row, bias) in enumerate(zip(second, biases[1], strict=True)):
            logit = sum(w * v for w, v in zip(row, hidden, strict=True)) + bias
            assert answers[clip, emotion].item() == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-6)


def test_a_probe_reads_one_stream():
    with pytest.raises(InputError, match="one stream"):
        ProbeConfig().build({"pooled": 4, "audio": 4})


@pytest.fixture
def llava(make_llava):
    llm = make_llava()
    frames = torch.randint(0, 256, (2, 8, 30, 30, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return llm.model, llm, llm.backbone.encode(frames)


@torch.no_grad()
def test_pooled_tokens_are_the_mean_of_transformers_last_hidden_states(llava):
    model, llm, visual = llava
    ids = torch.tensor([llm.prompt_ids(PROMPTS[1], 8, 0)] * 2)
    states = model.model.language_model(inputs_embeds=llm.embed(ids, visual)).last_hidden_state
    torch.testing.assert_close(pooled_tokens(llm, visual, PROMPTS[1]), states.mean(1), atol=1e-5, rtol=1e-4)
    video = ids[0] == llm.video_id
    assert 0 < video.sum() < len(video)
    without_words = pooled_tokens(llm, visual, PROMPTS[1], "video")
    torch.testing.assert_close(without_words, states[:, video].mean(1), atol=1e-5, rtol=1e-4)


@torch.enable_grad()
def teach(model, llm, visual, prompt, texts):
    """Trains a tiny model until it answers one text to each clip."""
    answers = [llm.answer_ids(said) for said in texts]
    language = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    optimizer = torch.optim.Adam(language, lr=1e-2)
    for _ in range(80):
        loss = torch.zeros(())
        for clip, answer in enumerate(answers):
            mine = Entities(visual.values[clip : clip + 1], visual.mask[clip : clip + 1])
            embeds = llm.embed(torch.tensor([[*prompt, *answer[:-1]]]), mine).detach()
            states = model.model.language_model(inputs_embeds=embeds).last_hidden_state
            loss = loss + F.cross_entropy(model.lm_head(states[0, len(prompt) - 1 :]), torch.tensor(answer))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def test_an_answers_states_leave_the_prompt_and_padding_out(llava):
    model, llm, visual = llava
    texts = ("He", "She waits for a long time")
    prompt = llm.prompt_ids(PROMPTS[0], 8, 0)
    teach(model, llm, visual, prompt, texts)
    pooled = pooled_tokens(llm, visual, PROMPTS[0], "answer", answer_tokens=40)
    for clip, said in enumerate(texts):
        whole = torch.tensor([[*prompt, *llm.answer_ids(said)[:-1]]])
        mine = Entities(visual.values[clip : clip + 1], visual.mask[clip : clip + 1])
        states = model.model.language_model(inputs_embeds=llm.embed(whole, mine)).last_hidden_state
        torch.testing.assert_close(pooled[clip], states[0, len(prompt) - 1 :].mean(0), atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_answer_that_is_pooled_is_the_models_own(llava):
    _, llm, visual = llava
    pooled = pooled_tokens(llm, visual, PROMPTS[0], "answer", answer_tokens=4)
    assert pooled.shape == (2, llm.width)
    assert not torch.allclose(pooled, pooled_tokens(llm, visual, PROMPTS[0]))


def test_the_models_are_left_as_they_were(llava):
    model, llm, visual = llava
    before = len(model.model.language_model._forward_hooks)
    pooled_tokens(llm, visual, PROMPTS[0])
    assert len(model.model.language_model._forward_hooks) == before


def test_the_compact_model_can_be_probed():
    torch.manual_seed(0)
    compact = CompactConfig(visual_features=6, width=24, num_layers=2, num_heads=2, feedforward=32)
    llm = compact.build(train_tokenizer([*PROMPTS, *IMPLICIT.labels], 300)).eval()
    visual = Entities(torch.randn(2, 8, 1, 6), torch.ones(2, 8, 1, dtype=torch.bool))
    pooled = pooled_tokens(llm, visual, PROMPTS[0])
    ids = torch.tensor([llm.prompt_ids(PROMPTS[0], 8, 0)] * 2)
    with torch.no_grad():
        theirs = llm.language_model.as_transformers(llm.max_tokens).model
        states = theirs(inputs_embeds=llm.embed(ids, visual)).last_hidden_state
    torch.testing.assert_close(pooled, states.mean(1), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(pooled, pooled_tokens(llm, visual, PROMPTS[1]))
