"""Turns that go on from kept keys and values say what reading everything anew would say."""

import torch

from omnisila.models.tokens import batch_prompts
from omnisila.scenes.extractor import Entities

QUESTIONS = ("Which event?", "Where is the man?", "Why")


def test_later_turns_read_only_what_is_new(llm, make_frames):
    visual = llm.backbone.encode(make_frames())
    nothing = Entities(visual.values[:, :0], visual.mask[:, :0])
    kept, ids, embeds = llm.empty_cache(), [], None
    for question in QUESTIONS:
        with torch.no_grad():
            if embeds is None:
                ids = llm.prompt_ids(question, visual.values.shape[1], scene_tokens=0)
                embeds = llm.embed(torch.tensor([ids]), visual)
            else:
                turn = llm.turn_ids(question)
                ids, embeds = [*ids, *turn], torch.cat([embeds, llm.embed(torch.tensor([turn]), nothing)], dim=1)
            tokens = batch_prompts([ids], llm.pad_id)
            anew, going_on = llm.generate(embeds, tokens, 6), llm.generate(embeds, tokens, 6, 1, kept)
            assert going_on.texts == anew.texts
            assert torch.allclose(torch.tensor(going_on.log_probs), torch.tensor(anew.log_probs), atol=1e-4)
            said = [*anew.ids[0]]
            ids, embeds = [*ids, *said], torch.cat([embeds, llm.embed(torch.tensor([said]), nothing)], dim=1)
