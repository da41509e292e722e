"""What a model says in its own words: read where it can mean one thing, left out where not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnisila.data.instructions import render_intensities
from omnisila.inference.parsed_answers import stated_intensities
from omnisila.labels import REACTION

SEVEN = dict(zip(REACTION.labels, (0.2, 0.5, 0.0, 0.1, 0.3, 0.4, 1.0), strict=True))


@pytest.mark.parametrize(
    "text",
    [
        "Adoration: 0.2, Amusement: 0.5, Anxiety: 0, Disgust: 0.1, Emphatic pain: 0.3, Fear: 0.4 and Surprise: 1.",
        "Sure! On a scale from 0 to 1:\n1. **Adoration**: 0.2\n2. Amusement - 0.5\n3. anxiety (0.0)\n4. Disgust = .1\n"
        "5. Empathetic Pain: 30%\n6. FEAR: 4/10\n7. Surprise: 10 out of 10\nThese are my 7 scores.",
        '{"adoration": 0.20, "amusement": 0.5, "anxiety": 0, "disgust": 0.1, "empathic-pain": 0.3, "fear": 0.4, '
        '"surprise": 1.0}',
        "I would give 0.2 to adoration, 0.5 for amusement, 0 for anxiety, 0.1 for disgust, 0.3 for the empathic pain, "
        "0.4 for fear and 1 for surprise.",
        "| Adoration | 0,2 |\n| Amusement | 0,5 |\n| Anxiety | 0,0 |\n| Disgust | 0,1 |\n| Emphatic pain | 0,3 |\n"
        "| Fear | 0,4 |\n| Surprise | 1,0 |",
        "0.2, 0.5, 0, 0.1, 0.3, 0.4, 1",
        "A score between 0 and 1 for adoration, amusement, anxiety, disgust, emphatic pain, fear and surprise:\n"
        "Adoration: 0.2\nAmusement: 0.5\nAnxiety: 0\nDisgust: 0.1\nEmphatic pain: 0.3\nFear: 0.4\nSurprise: 1",
        "Scores from 0 to 1 for adoration and the others. Adoration 0.2, amusement 0.5, anxiety 0, disgust 0.1, "
        "empathic pain 0.3; I give 0.4 for fear and 1 for surprise.",
    ],
)
def test_forms_that_mean_one_thing(text):
    assert stated_intensities(text) == pytest.approx(SEVEN)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The subject looks happy and smiles at the camera.", {}),
        ("The subject shows fear and surprise.", {}),
        ("Adoration: 0.2-0.4, Fear: 0.3", {"Fear": 0.3}),  # a range is no score
        ("Fear: 0.3. Later, fear: 0.6. Disgust: 0.1", {"Disgust": 0.1}),  # said twice, differently
        ("Fear: 0.3. As I said, fear: 0.3.", {"Fear": 0.3}),
        ("Adoration: 1.5, Amusement: -0.2, Anxiety: 7, Surprise: 0.9", {"Surprise": 0.9}),
        ("Adoration and amusement: 0.5", {"Amusement": 0.5}),  # whether both is not said
        ("0.2, 0.5, 0.1", {}),  # which of the seven?
        ("Fearless: 0.4", {}),
        ("Fear: 3/0", {}),
        ("Adoration: 0.2 to 0.4, Fear: 0.3", {"Fear": 0.3}),
        ("Adoration: 0.2, amusement: 0.5. Of the rest, 1 for fear", {"Adoration": 0.2, "Amusement": 0.5, "Fear": 1.0}),
        ("Adoration: 0.2, 4/10 for fear", {"Adoration": 0.2, "Fear": 0.4}),
        ("", {}),
    ],
)
def test_what_is_not_said_once_stays_unsaid(text, found):
    assert stated_intensities(text) == pytest.approx(found)


@given(st.lists(st.integers(0, 10_000), min_size=7, max_size=7))
def test_our_own_rendering_is_read_too(values):
    intensities = {label: value / 10_000 for label, value in zip(REACTION.labels, values, strict=True)}
    assert stated_intensities(render_intensities(intensities)) == pytest.approx(intensities)


@given(st.text())
def test_no_text_breaks_it(text):
    assert all(0 <= value <= 1 for value in stated_intensities(text).values())
