"""Reviews of invented films: short, in plain English, each with one stance and the reasons for it."""

from __future__ import annotations

import random
from typing import Literal

Label = Literal["positive", "negative"]

TITLE_ADJECTIVES = ["Silver", "Last", "Golden", "Secret", "Broken", "Silent", "Distant", "Long", "Lonely", "Hidden"]
TITLE_NOUNS = ["Harbor", "Garden", "Winter", "River", "Letter", "Bridge", "Station", "Summer", "Island", "Forest"]
ASPECTS = ["acting", "ending", "music", "photography", "script", "pace", "story", "dialogue", "humor", "direction"]
PRAISE = ["fresh", "honest", "clever", "strong", "lovely", "perfect", "brilliant", "gentle"]
BLAME = ["tired", "false", "stupid", "weak", "awful", "poor", "dull", "empty"]
HEROES = ["sailor", "baker", "teacher", "farmer", "doctor", "painter", "writer", "singer"]
COMPANY = ["sister", "brother", "friends", "mother", "father", "neighbor"]
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]

# What comes before the first judgement: neither praise nor blame, and no aspect.
OPENINGS = (
    "Last night I saw {title} with my {company}.",
    "{title} is a film about a {hero} and a {heroine}.",
    "On {day} I went to the cinema to see {title}.",
    "{title} shows us one year in the life of a {hero}.",
    "My {company} told me to see {title}, so I did.",
)
FIRST: dict[Label, tuple[str, ...]] = {
    "positive": (
        "The {a} is {x} and {y}, and it carries the film.",
        "I loved the {a}, which is {x} in every scene.",
        "It was the {a} that won me, because it is {x} and {y}.",
        "I have seldom seen a film where the {a} is this {x}.",
    ),
    "negative": (
        "The {a} is {x} and {y}, and it breaks the film.",
        "I could not stand the {a}, which is {x} in every scene.",
        "It was the {a} that lost me, because it is {x} and {y}.",
        "I have seldom seen a film where the {a} is this {x}.",
    ),
}
SECOND: dict[Label, tuple[str, ...]] = {
    "positive": (
        "Even the {b} is {z}.",
        "The {b} is {z} too, and the {c} is a gift.",
        "After an hour you see how {z} the {b} is.",
        "Only the {b} is a little {u}, and I can forgive that.",
    ),
    "negative": (
        "Even the {b} is {z}.",
        "The {b} is {z} too, and the {c} is no help.",
        "After an hour you see how {z} the {b} is.",
        "Only the {b} is a little {u}, and that is not enough.",
    ),
}
VERDICTS: dict[Label, tuple[str, ...]] = {
    "positive": (
        "I came home happy, and I will see it again.",
        "Go and see it with someone you love.",
        "It is the best film I have seen this year.",
        "I would give it nine out of ten.",
    ),
    "negative": (
        "I came home angry, and I will not see it again.",
        "Stay at home and read a book.",
        "It is the worst film I have seen this year.",
        "I would give it two out of ten.",
    ),
}


def make_title(rng: random.Random) -> str:
    """The title of an invented film."""
    return f"The {rng.choice(TITLE_ADJECTIVES)} {rng.choice(TITLE_NOUNS)}"


def write(rng: random.Random, label: Label) -> str:
    """One review of 25 to 60 words with the given stance; its first judgement is on the thing it is about."""
    good, bad = (PRAISE, BLAME) if label == "positive" else (BLAME, PRAISE)
    a, b, c = rng.sample(ASPECTS, 3)
    x, y, z = rng.sample(good, 3)
    hero, heroine = rng.sample(HEROES, 2)
    sentences = (rng.choice(OPENINGS), rng.choice(FIRST[label]), rng.choice(SECOND[label]), rng.choice(VERDICTS[label]))
    return " ".join(sentences).format(
        title=make_title(rng), company=rng.choice(COMPANY), hero=hero, heroine=heroine, day=rng.choice(DAYS),
        a=a, b=b, c=c, x=x, y=y, z=z, u=rng.choice(bad),
    )  # fmt: skip


def write_many(rng: random.Random, count: int, seen: set[str] | None = None) -> list[tuple[str, Label]]:
    """`count` distinct reviews with their labels, half of them positive (one more when the count is odd).

    None is one of `seen`, to which they are added.
    """
    seen = set() if seen is None else seen
    reviews: list[tuple[str, Label]] = []
    while len(reviews) < count:
        label: Label = "positive" if len(reviews) % 2 == 0 else "negative"
        text = write(rng, label)
        if text not in seen:
            seen.add(text)
            reviews.append((text, label))
    return reviews
