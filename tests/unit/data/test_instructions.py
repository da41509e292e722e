"""Instructions and answers: what is rendered is parsed back, anything else is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisila.data.instructions import (
    Instruction,
    Located,
    clauses_of,
    parse_instruction,
    parse_label,
    parse_located,
    render_clauses,
    render_instruction,
    render_intensities,
    render_label,
    render_located,
)
from omnisila.inference.parsed_answers import stated_intensities
from omnisila.labels import BUILT_IN, IMPLICIT, REACTION, LabelSet
from omnisila.scene_registry import SCENES
from omnisila.schema import Span

AWKWARD = LabelSet(
    name="awkward", labels=("Fall", "Fall from 1s to 2s", "Fall (hard)", "calm"), negative=(), quiet="calm",
    identify="What?", locate="When?", attribute="Why {label}?",
)  # fmt: skip
label_sets = st.sampled_from([*BUILT_IN.values(), AWKWARD])


@st.composite
def instructions(draw: st.DrawFn) -> Instruction:
    task = draw(st.sampled_from(["identify", "locate", "attribute", "describe", "react"]))
    if task == "react":
        return Instruction("react")
    if task == "describe":
        return Instruction("describe", scene=draw(st.sampled_from(list(SCENES))))
    labels = draw(label_sets)
    return Instruction(task, labels, draw(st.sampled_from(labels.labels)) if task == "attribute" else None)


@st.composite
def located(draw: st.DrawFn) -> tuple[LabelSet, tuple[Located, ...]]:
    labels = draw(label_sets)
    milliseconds = st.integers(0, 100_000_000)
    spans = st.tuples(milliseconds, milliseconds).filter(lambda pair: pair[0] != pair[1])
    lines = draw(st.lists(st.tuples(st.sampled_from(labels.labels), spans), max_size=5))
    return labels, tuple(
        Located(label, Span(start_s=min(pair) / 1000, end_s=max(pair) / 1000)) for label, pair in lines
    )


@given(instructions())
def test_instructions_round_trip(instruction: Instruction):
    parsed = parse_instruction(render_instruction(instruction), [*BUILT_IN.values(), AWKWARD])
    assert parsed is not None
    if instruction.task == "attribute":  # two built-in sets share this wording and some labels: the first wins
        assert (parsed.task, parsed.label) == (instruction.task, instruction.label)
    else:
        assert parsed == instruction


@given(label_sets, st.data())
def test_labels_round_trip(labels: LabelSet, data: st.DataObject):
    label = data.draw(st.sampled_from(labels.labels))
    assert parse_label(render_label(label), labels) == label
    assert parse_label(f" {label.upper()}.", labels) == label


@given(located())
def test_located_answers_round_trip(case: tuple[LabelSet, tuple[Located, ...]]):
    labels, found = case
    assert parse_located(render_located(found), labels) == found


@given(st.lists(st.text(st.characters(exclude_characters=";", exclude_categories=["C", "Z"]), min_size=1), max_size=4))
def test_clauses_round_trip(clauses: list[str]):
    clauses = [f"a {clause}" for clause in clauses]
    assert clauses_of(render_clauses(clauses)) == tuple(clauses)


@given(st.text())
def test_no_text_breaks_a_parser(text: str):
    parse_instruction(text)
    parse_label(text, IMPLICIT)
    found = parse_located(text, IMPLICIT)
    assert found is None or parse_located(render_located(found), IMPLICIT) == found


@pytest.mark.parametrize(
    "text",
    ["", "Fighting", "Fighting from 8s to 8s", "Fighting from 9s to 8s", "fighting from 8s to 9s",
     "Fighting from 8 to 9", "Fighting from 8s to 9s;", "Fighting from 8s to 9s; and more", "Dancing from 8s to 9s"],
)  # fmt: skip
def test_a_located_answer_of_another_form_is_refused(text: str):
    assert parse_located(text, IMPLICIT) is None


def test_forms_as_the_paper_writes_them():
    fight = Located("Fighting", Span(start_s=8, end_s=15.25))
    assert render_located([fight]) == "Fighting from 8s to 15.25s"
    assert render_located([]) == "nothing"
    assert render_instruction(Instruction("describe", scene="relation")) == "Please describe the image region."


@pytest.mark.parametrize("clause", ["", "a; b", "nothing", " a"])
def test_a_clause_that_could_not_be_told_apart_is_refused(clause: str):
    with pytest.raises(ValueError, match="cannot be told apart"):
        render_clauses([clause])


def test_an_instruction_without_what_its_task_needs_is_refused():
    with pytest.raises(ValueError, match="attribute a label too"):
        render_instruction(Instruction("attribute", IMPLICIT))


@given(st.lists(st.integers(0, 10_000), min_size=7, max_size=7))
def test_intensities_round_trip(tenthousandths: list[int]):
    intensities = {label: number / 10_000 for label, number in zip(REACTION.labels, tenthousandths, strict=True)}
    assert stated_intensities(render_intensities(intensities)) == intensities


def test_intensities_must_be_complete():
    with pytest.raises(ValueError, match=r"no intensity in .* for Adoration"):
        render_intensities({"Fear": 0.5})


@given(st.text())
def test_free_text_becomes_clauses_that_render(text: str):
    clauses = clauses_of(text)
    assert clauses_of(render_clauses(clauses)) == clauses
