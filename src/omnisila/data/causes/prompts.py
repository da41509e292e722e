"""What the annotator asks: one question for each scene aspect, then one that joins the answers to a cause.

Source: Omni-SILA 4.1 says that attributions were generated and summarised from four scene aspects, not in which words.
"""

from collections.abc import Mapping

from omnisila.data.instructions import NOTHING
from omnisila.schema import SceneName, Span

_LOOK_AT: dict[SceneName, str] = {
    "face": "the faces: expressions, gaze and how they change from picture to picture",
    "action": "what people or animals do: posture, movement, gestures and who acts on whom",
    "relation": "the objects and how they stand to each other and to the people: held, near, blocking, damaged, moving",
    "background": "the setting: place, light, weather, traffic, crowd, smoke or water, everything behind the people",
}
SCENES: tuple[SceneName, ...] = tuple(_LOOK_AT)


def aspect_prompt(scene: SceneName, label: str, span: Span, pictures: int) -> str:
    """Pass 1: what one aspect of the pictures contributes to the label."""
    return (
        f"These {pictures} pictures were taken in order, evenly spread over {span.duration_s:.3g} seconds of a video. "
        f'People labelled this stretch "{label}".\n'
        f"Look only at {_LOOK_AT[scene]}.\n"
        f'In at most two short sentences, say what of it speaks for "{label}". Name only what the pictures show; do '
        "not guess at intentions, sounds or what happened before, and do not say who anybody is. "
        f'If nothing of it can be seen or it has nothing to do with the label, answer with the word "{NOTHING}" alone.'
    )


def summary_prompt(label: str, seen: Mapping[SceneName, str]) -> str:
    """Pass 2: the cause as short clauses, from the four answers alone."""
    told = "\n".join(f"- {scene}: {' '.join(text.split())}" for scene, text in seen.items())
    return (
        f'A stretch of a video is labelled "{label}". Four observers each looked at one aspect of it:\n{told}\n'
        f'Why does the video show "{label}"? Join what they saw into one to four short clauses, the most telling '
        'first, on one line, with "; " between them and no other text. Leave out what does not bear on the label, add '
        f"nothing that no observer saw, and where they contradict each other keep what is more concrete. "
        f'If they saw nothing that bears on it, answer with the word "{NOTHING}" alone.'
    )
