"""Sentences that say how somebody looks who shows an emotion, for matching with frames.

As many for each emotion as ViPER has; the wording is our own. Source: ViPER's text token, emotional-reaction paper 4.3.
"""

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
