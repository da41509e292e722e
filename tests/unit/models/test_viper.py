"""ViPER beside a plain computation of its Perceiver, and what absent modalities may and may not do."""

import pytest
import torch
from torch import nn

from omnisila.errors import InputError
from omnisila.models.reaction import EMOTIONS, FRAMES, WIDTHS, ReactionBatch, stack_clips
from omnisila.models.viper import ViPERConfig
from omnisila.scenes.reaction.clip import Modality

TINY = ViPERConfig(latents=5, width=16, layers=2, heads=4)
SMALL = {"visual": 6, "audio": 5, "fau": 3}


def clips(batch=3, widths=SMALL, seed=0):
    random = torch.Generator().manual_seed(seed)
    return ReactionBatch(
        {name: torch.randn(batch, FRAMES, width, generator=random) for name, width in widths.items()},
        {name: torch.rand(batch, FRAMES, generator=random) < 0.7 for name in widths},
    )


def built(widths=SMALL):
    torch.manual_seed(1)
    model = TINY.build(widths).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.2)
    return model


def attention(layer, queries, sources, seen, heads):
    """A Perceiver layer's attention, head by head and query by query."""
    q, k, v = layer.query(queries), layer.key(sources), layer.value(sources)
    mixed = torch.zeros(*q.shape[:2], v.shape[-1])
    for head in range(heads):
        qk, vs = (slice(head * w // heads, (head + 1) * w // heads) for w in (q.shape[-1], v.shape[-1]))
        for clip in range(len(q)):
            for query in range(q.shape[1]):
                scores = (k[clip, :, qk] @ q[clip, query, qk]) / (qk.stop - qk.start) ** 0.5
                weights = scores.where(seen[clip], torch.tensor(-torch.inf)).softmax(0)
                mixed[clip, query, vs] = weights @ v[clip, :, vs]
    return mixed


def layer_by_hand(layer, queries, sources, seen, heads):
    inner = layer.attention.self
    mixed = attention(inner, inner.layernorm1(queries), inner.layernorm2(sources), seen, heads)
    states = layer.attention.output.dense(mixed) + queries
    return states + layer.mlp.dense2(nn.functional.gelu(layer.mlp.dense1(layer.layernorm(states))))


@torch.no_grad()
def test_it_is_a_plain_perceiver_over_concatenated_modalities():
    model, batch = built(), clips()
    perceiver, heads = model.perceiver, TINY.heads
    token = torch.cat([batch.values[name] * batch.masks[name].unsqueeze(-1) for name in SMALL], dim=-1)
    token = nn.functional.pad(token, (0, 2))  # 14 numbers, filled up to a width that 4 heads divide
    seen = batch.masks["visual"] | batch.masks["audio"] | batch.masks["fau"]
    assert not seen.all()

    latents = perceiver.embeddings.latents.expand(len(token), -1, -1)
    states = layer_by_hand(perceiver.encoder.cross_attention, latents, token, seen, heads)
    everything = torch.ones(len(token), states.shape[1], dtype=torch.bool)
    for layer in perceiver.encoder.self_attends:
        inner = layer.attention.self
        normed = inner.layernorm1(states)
        mixed = layer.attention.output.dense(attention(inner, normed, normed, everything, heads)) + states
        states = mixed + layer.mlp.dense2(nn.functional.gelu(layer.mlp.dense1(layer.layernorm(mixed))))
    decoder = perceiver.decoder.decoder
    query = decoder.output_position_encodings.position_embeddings.expand(len(token), -1, -1)
    wanted = decoder.final_layer(layer_by_hand(decoder.decoding_cross_attention, query, states, everything, 1))[:, 0]

    torch.testing.assert_close(model(batch), wanted, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_what_stands_in_an_absent_modalitys_place_does_not_matter():
    model, batch = built(), clips()
    batch.masks["audio"][0] = False
    for mask in batch.masks.values():
        mask[1] = False  # of the second clip nothing is known
    spoilt = {name: values.where(batch.masks[name].unsqueeze(-1), torch.nan) for name, values in batch.values.items()}
    answers = model(ReactionBatch(spoilt, batch.masks))
    assert answers.isfinite().all()
    torch.testing.assert_close(answers, model(batch))


@torch.no_grad()
def test_each_modality_that_is_there_is_read():
    model, batch = built(), clips()
    for name in SMALL:
        changed = {**batch.values, name: batch.values[name] + 1.0}
        assert (model(ReactionBatch(changed, batch.masks)) - model(batch)).abs().max() > 1e-4


@pytest.mark.parametrize(
    ("names", "token"),
    [(("visual",), 768), (("visual", "text", "fau"), 1568), (("visual", "audio", "text", "fau"), 2080)],
)
def test_tokens_have_the_papers_widths(names, token):
    widths = {name: WIDTHS[name] for name in names}
    model = ViPERConfig(latents=2, width=8, layers=1).build(widths)
    assert model.tokens(clips(1, widths)).shape == (1, FRAMES, token)


def test_published_sizes_are_transformers_own():
    with torch.device("meta"):
        model = ViPERConfig().build({name: WIDTHS[name] for name in ("visual", "audio", "text", "fau")})
    tower = sum(parameter.numel() for parameter in model.perceiver.encoder.self_attends.parameters())
    assert 250e6 < tower < 260e6
    assert model.perceiver.embeddings.latents.shape == (256, 1280)


def test_a_missing_modality_and_another_profile_are_named():
    model = built()
    with pytest.raises(InputError, match=r"no modality 'fau', wanted 3"):
        model(clips(widths={"visual": 6, "audio": 5}))
    with pytest.raises(InputError, match=r"'audio' of width 4, wanted 5"):
        model(clips(widths={"visual": 6, "audio": 4, "fau": 3}))


def test_clips_as_extractors_give_them_become_a_batch():
    one = {name: Modality.absent(FRAMES, width) for name, width in (SMALL | {"face": 2}).items()}
    other = one | {"audio": Modality(torch.ones(FRAMES, 5), torch.ones(FRAMES, dtype=torch.bool))}
    batch = stack_clips([one, other], SMALL)
    assert list(batch.values) == list(SMALL)
    assert batch.masks["audio"].any(1).tolist() == [False, True]
    assert built()(batch).shape == (2, EMOTIONS)
    with pytest.raises(InputError, match="clip 1: no fau"):
        stack_clips([one, {name: one[name] for name in ("visual", "audio")}], SMALL)
