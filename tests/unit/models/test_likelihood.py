"""Likelihoods of answers equal plain teacher forcing, one prompt and one answer at a time."""

import pytest
import torch
from transformers import DynamicCache

from omnisila.models.decoding import CACHE_ARGUMENT
from omnisila.models.likelihood import (
    Asked,
    answer_likelihood,
    answers_likelihood,
    label_language_loss,
    label_loss,
    language_loss,
    posterior,
)
from omnisila.models.tokens import batch_answers, splice

INSTRUCTIONS = ["Which event?", "Which sentiment does this video convey?", "Why"]
ANSWERS = ["Fighting", "Normal", "a man runs", ""]


def one_by_one(model, windows, instruction, answer, row):
    """log P(answer + terminator) of one window, from a causal pass without padding, branches or masks of ours."""
    llm = model.video_llm
    prompt, wanted = llm.prompt_ids(instruction, 8), llm.answer_ids(answer)
    scenes = {name: type(e)(e.values[[row]], e.mask[[row]]) for name, e in windows.scenes.items()}
    visual = type(windows.visual)(windows.visual.values[[row]], windows.visual.mask[[row]])
    ids = torch.tensor([[*prompt, *wanted]])
    embeds = llm.embed(ids, visual)
    embeds[0, ids[0] == llm.scene_id] = model.perceive(scenes).scene_tokens[0]
    causal = torch.ones(1, 1, ids.shape[1], ids.shape[1], dtype=torch.bool).tril()
    theirs = llm.language_model.as_transformers(llm.max_tokens)
    log_probs = theirs(inputs_embeds=embeds, attention_mask=causal).logits[0].log_softmax(-1)
    return sum(log_probs[len(prompt) + k - 1, token] for k, token in enumerate(wanted))


def test_branches_of_one_prompt_equal_one_answer_at_a_time(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    with torch.no_grad():
        found = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS)
        for row, instruction in enumerate(INSTRUCTIONS):
            for column, answer in enumerate(ANSWERS):
                wanted = one_by_one(model, windows, instruction, answer, row)
                assert float(found.log_probs[row, column]) == pytest.approx(float(wanted), abs=1e-4)
    assert found.token_counts.tolist() == [len(model.video_llm.answer_ids(answer)) for answer in ANSWERS]


def test_several_questions_about_the_same_windows_are_answered_as_each_alone(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    answers = ("Fighting", "Normal"), tuple(ANSWERS), ("",)
    asked = [Asked(*one) for one in zip(INSTRUCTIONS, answers, strict=True)]
    together = answers_likelihood(model, windows.scenes, windows.visual, asked)
    for found, (instruction, answers) in zip(together, asked, strict=True):
        alone = answer_likelihood(model, windows.scenes, windows.visual, [instruction] * 3, answers)
        torch.testing.assert_close(found.log_probs, alone.log_probs.detach(), atol=1e-4, rtol=1e-4)
        assert torch.equal(found.token_counts, alone.token_counts)
    (lone,) = answers_likelihood(model, windows.scenes, windows.visual, asked[:1])
    torch.testing.assert_close(lone.log_probs, together[0].log_probs, atol=1e-4, rtol=1e-4)


def test_branches_equal_an_expanded_key_value_cache(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    llm = model.video_llm
    theirs = llm.language_model.as_transformers(llm.max_tokens)
    answers = [llm.answer_ids(answer) for answer in ANSWERS]
    longest = max(map(len, answers))
    fed = torch.tensor([ids + [llm.pad_id] * (longest - len(ids)) for ids in answers])
    with torch.no_grad():
        found = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS).log_probs
        scene_tokens = model.perceive(windows.scenes).scene_tokens
        for row, instruction in enumerate(INSTRUCTIONS):
            ids = torch.tensor([llm.prompt_ids(instruction, 8)])
            visual = type(windows.visual)(windows.visual.values[[row]], windows.visual.mask[[row]])
            embeds = splice(llm.embed(ids, visual), ids, llm.scene_id, scene_tokens[[row]])
            cache = DynamicCache(config=theirs.config)
            first = theirs(inputs_embeds=embeds, use_cache=True, **{CACHE_ARGUMENT: cache}).logits[:, -1:]
            cache.batch_repeat_interleave(len(answers))
            rest = theirs(input_ids=fed, use_cache=True, **{CACHE_ARGUMENT: cache}).logits
            log_probs = torch.cat([first.expand(len(answers), -1, -1), rest], 1).log_softmax(-1)
            for column, answer in enumerate(answers):
                wanted = sum(log_probs[column, step, token] for step, token in enumerate(answer))
                assert float(found[row, column]) == pytest.approx(float(wanted), abs=1e-4)


def test_bfloat16_autocast_changes_likelihoods_little(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    with torch.no_grad():
        exact = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS).log_probs
        with torch.autocast("cpu", torch.bfloat16):
            half = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS).log_probs
    assert half.dtype == torch.float32
    torch.testing.assert_close(half, exact, rtol=0.03, atol=0.1)


def test_the_order_of_answers_and_the_company_of_windows_change_nothing(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    with torch.no_grad():
        straight = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS).log_probs
        turned = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS[::-1]).log_probs
        alone = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS[2:3]).log_probs
    torch.testing.assert_close(straight, turned.flip(1), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(straight[:, 2:3], alone, atol=1e-4, rtol=1e-4)


def test_likelihood_and_language_loss_are_the_same_number(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    llm, truth = model.video_llm, [0, 2, 1]
    prompts = [llm.prompt_ids(instruction, 8) for instruction in INSTRUCTIONS]
    given = batch_answers(prompts, [llm.answer_ids(ANSWERS[index]) for index in truth], llm.pad_id)
    with torch.no_grad():
        language = language_loss(model(windows.scenes, windows.visual, given.tokens).logits, given.targets)
        found = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS)
    same = label_language_loss(found.log_probs, torch.tensor(truth), found.token_counts)
    torch.testing.assert_close(language, same, atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_part(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    found = answer_likelihood(model, windows.scenes, windows.visual, INSTRUCTIONS, ANSWERS)
    label_loss(found.log_probs, torch.tensor([0, 1, 2])).backward()
    dead = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert dead == []
    assert all(parameter.grad.isfinite().all() for parameter in model.parameters() if parameter.grad is not None)


def test_generating_follows_the_likelihoods(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows()
    made = model.generate(windows.scenes, windows.visual, INSTRUCTIONS, max_tokens=6)
    llm = model.video_llm
    with torch.no_grad():
        for row, instruction in enumerate(INSTRUCTIONS):
            first = batch_answers([llm.prompt_ids(instruction, 8)], [[llm.end_id]], llm.pad_id)
            scenes = {name: type(e)(e.values[[row]], e.mask[[row]]) for name, e in windows.scenes.items()}
            visual = type(windows.visual)(windows.visual.values[[row]], windows.visual.mask[[row]])
            best = model(scenes, visual, first.tokens).logits[0, 0].log_softmax(-1).max()
            assert made.log_probs[row][0] == pytest.approx(float(best), abs=1e-4)
    assert all(len(log_probs) <= 6 for log_probs in made.log_probs)


def test_beams_find_answers_at_least_as_likely(make_tiny, make_windows):
    model, windows = make_tiny().model, make_windows(1)
    greedy = model.generate(windows.scenes, windows.visual, INSTRUCTIONS[:1], max_tokens=3)
    beamed = model.generate(windows.scenes, windows.visual, INSTRUCTIONS[:1], max_tokens=3, beams=4)
    assert sum(beamed.log_probs[0]) >= sum(greedy.log_probs[0]) - 1e-4


def test_posterior_is_renormalised_and_temperature_flattens_it():
    log_probs = torch.tensor([[-1.0, -2.0, -4.0]])
    assert float(posterior(log_probs).sum()) == pytest.approx(1.0)
    assert posterior(log_probs, 2.0).max() < posterior(log_probs).max()


def test_label_loss_only_counts_the_labels_of_the_windows_own_set():
    log_probs = torch.tensor([[0.0, 0.0, 50.0, 50.0]])
    allowed = torch.tensor([[True, True, False, False]])
    assert float(label_loss(log_probs, torch.tensor([0]), allowed)) == pytest.approx(0.6931, abs=1e-4)
    smoothed = label_loss(torch.tensor([[2.0, 0.0, 9.0]]), torch.tensor([0]), torch.tensor([[True, True, False]]), 0.1)
    # ln(1 + e^-2) = 0.1269 for the truth, 2.1269 for the other: 0.9 * 0.1269 + 0.1 * 1.1269
    assert float(smoothed) == pytest.approx(0.2269, abs=1e-4)
