"""``omnisila train compact-reaction``: evidence, model and card; the card tells what was measured and nothing more."""

from collections import Counter
from pathlib import Path

from omnisila.evaluation.significance import DRAWS, Interval
from omnisila.files import write_atomically
from omnisila.labels import REACTION
from omnisila.models.reaction_run import ReactionRecord
from omnisila.recipes.card import CARD
from omnisila.recipes.compact_reaction import OWN_WORDS, CompactReaction, Faces, Say, faces_of, shipped
from omnisila.recipes.compact_reaction_measures import Compared, Evidence, evidence

_HEAD = "| label | | trained | untrained network | trained minus untrained |\n|---|---|---|---|---|\n"


def train_compact_reaction(
    recipe: CompactReaction, root: Path, out: Path, features: Path, say: Say, draws: int = DRAWS
) -> ReactionRecord:
    """Measure on held-out people, then train on everybody; run it again to go on after a kill.

    Args:
        recipe: the model.
        root: data root with ``emotion_faces``.
        out: the run folder.
        features: folder of the feature cache.
        say: told what happens.
        draws: of the bootstrap over people.

    Raises:
        DataSetError: the set is not as its reader expects, or shows too little.
        TrainingError: a state is of another run, or training diverged.
    """
    say("describing the faces")
    faces = faces_of(root, features, recipe, say)
    say(f"{len(faces.stills)} faces; trained labels: {', '.join(faces.labels)}")
    found = evidence(recipe, faces, out, say, draws)
    say(
        "final model on everybody" if found.training_helps else "training is not surely better: the network alone ships"
    )
    record = shipped(recipe, faces, out, found.training_helps)
    write_atomically(out / CARD, card(recipe, faces, found))
    say(f"{out}: model {record.identity.digest[:12]} is ready, its card is {out / CARD}")
    return record


def card(recipe: CompactReaction, faces: Faces, found: Evidence) -> str:
    """The model card's text."""
    return "\n".join(
        (
            _about(recipe, faces, found),
            _data(recipe, faces),
            _composed(recipe, found),
            _stills(found),
            _said(faces, found),
            _LIMITS,
        )
    )


def _about(recipe: CompactReaction, faces: Faces, found: Evidence) -> str:
    lacking = [label for label in REACTION.labels if label not in faces.labels]
    return f"""# Model card: {recipe.name}

{_kind(recipe, found)}
Neither Hume-Reaction nor any video or sound was there to learn from. Clips were composed of still faces, and intensity
means one thing: the share of the time at which the face shows the expression. How strong a feeling is, it does not
know. What the expression network was trained on is not recorded here; it may have seen some of these photographs.

Labels it scores: **{", ".join(faces.labels)}**. Not scored, not reported: {", ".join(lacking)}.

Made, and every number below measured, by `OMNISILA_DATA=<data root> omnisila train compact-reaction`: {recipe.folds}
folds by person, {recipe.seeds} seeds. Nobody is judged by a trained model that saw them; near-duplicate pictures
stand in one fold. Brackets are 95 % intervals over people (bootstrap). A difference whose interval holds 0
is no evidence of one.
"""


def _kind(recipe: CompactReaction, found: Evidence) -> str:
    if found.training_helps:
        return (
            f"A small model ({recipe.model.kind} on {', '.join(recipe.streams)}) that comes with the package. Trained\n"
            "on still faces: on composed clips of unseen people it is better than the untrained expression network."
        )
    return f"""The embedded expression network's own probabilities, averaged over the frames with a face. **Nothing was
trained for it**: a trained {recipe.model.kind} on {", ".join(recipe.streams)} is measured beside it below and is not
surely better, so the plain reading ships. That one was chosen among several small models that were tried on the same
people, which flatters it if anything."""


def _data(recipe: CompactReaction, faces: Faces) -> str:
    rows = []
    for emotion, count in sorted(Counter(faces.emotions).items()):
        mine = [
            (still, reaction)
            for still, e, reaction in zip(faces.stills, faces.emotions, faces.reactions, strict=True)
            if e == emotion
        ]
        persons = Counter(still.person for still, _ in mine)
        label = mine[0][1]
        taken = (
            f"{label}, scored" if label in faces.labels else f"{label}, too few people: as none" if label else "none"
        )
        rows.append(f"| {emotion} | {count} | {len(persons)} | {max(persons.values())} | {taken} |")
    return f"""## Data

The set emotion_faces (github.com/muxspace/facial_expressions; Apache-2.0 as the repository states, the photographs'
own rights are unknown): portraits from the web, labelled by students, noisily. {len(faces.stills)} pictures with a face
that was found; {faces.left_out} without are left out.

| emotion as annotated | pictures | people | most of one person | taken for |
|---|---|---|---|---|
{chr(10).join(rows)}

A label is trained and scored if at least {recipe.least_persons} people show it. Composed clips: one or two stretches
of one person's expression with soft ends, between other pictures, of the same person where there are any; stretches
without a face are masked. All people of a clip stand in the same tenth of the people, and folds are whole tenths.
"""


def _composed(recipe: CompactReaction, found: Evidence) -> str:
    return f"""## Composed clips of unseen people

Pearson between the true and the said share of the time, {recipe.parts * recipe.judged_per_part} clips. The untrained
network is the mean over frames of the embedded expression network's own probability.

{_HEAD}{_rows(found.composed)}
{_verdict(found)}
"""


def _verdict(found: Evidence) -> str:
    sentences = []
    for row in found.composed:
        assert row.difference is not None
        low, high = row.difference.interval.low, row.difference.interval.high
        said = "better than" if low > 0 else "worse than" if high < 0 else "not told apart from"
        sentences.append(f"{row.label}: on composed clips the trained model is {said} the untrained network.")
    return "\n".join(sentences)


def _stills(found: Evidence) -> str:
    return f"""## Single pictures of unseen people

One expression against all other pictures. *Within persons* is the mean over people of the AUC among the pictures of
one person: who is seen, and which collection a picture is from, cannot help there. Labels that were not trained have
the untrained network's numbers alone.

{_HEAD}{_rows(found.stills)}
"""


def _said(faces: Faces, found: Evidence) -> str:
    shown = [label for label in REACTION.labels if label in OWN_WORDS]
    rows = []
    for emotion, (count, mean, own) in found.said_of.items():
        cells = [f"{mean[REACTION.labels.index(label)]:.2f}" for label in faces.labels]
        cells += [f"{own[REACTION.labels.index(label)]:.2f}" for label in shown]
        rows.append(f"| {emotion} ({count}) | {' | '.join(cells)} |")
    heads = [*faces.labels, *(f"{label}, untrained" for label in shown)]
    return f"""## What is said of which emotion

Mean intensity of held-out pictures, by the emotion that was annotated.

| annotated | {" | ".join(heads)} |
|---|{"---|" * len(heads)}
{chr(10).join(rows)}
"""


def _rows(rows: tuple[Compared, ...]) -> str:
    return (
        "\n".join(
            f"| {row.label} | {row.metric} | {_interval(row.trained)} | {_interval(row.untrained)} | "
            f"{_interval(row.difference.interval if row.difference else None, sign='+')} |"
            for row in rows
        )
        + "\n"
    )


def _interval(interval: Interval | None, sign: str = "") -> str:
    if interval is None:
        return "-"
    places = 3 if sign else 2  # a difference's bounds must not round to 0
    return f"{interval.value:{sign}.3f} ({interval.low:{sign}.{places}f} to {interval.high:{sign}.{places}f})"


_LIMITS = """## Limits

- Nothing here is comparable to published numbers on Hume-Reaction: none of its clips was trained on or measured.
- Not measured: reactions as people have them on video, other cameras than those of the photographs, sound (it is not
  read at all), children, and any group of people by itself.
- A smile is taken for amusement, and an annotation of surprise for surprise; polite and posed faces count alike.
- Stills hold few faces that speak: the open mouth of somebody who talks can read as surprise.
- Fear and surprise share open eyes and mouths: see the row of fear above.
- An expression is no proof of a feeling. Use it to find moments to look at, never to judge a person.
"""
