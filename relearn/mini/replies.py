"""The embedded teacher's words: an agreeing and a disagreeing reply to any film review.

It reads the review in three steps, each simple enough to check by hand: the stance, from a lexicon of weighted
words with negation (after the lexicon method of Taboada et al. 2011, "Lexicon-Based Methods for Sentiment
Analysis"); the thing the review talks about most, from a lexicon of aspects; and a word of the review to quote.
Then it fills a sentence of each kind: its stance, what it says to the quoted word, and why.

Everything depends on the review and the seed alone, through SHA-256.
"""

from __future__ import annotations

import hashlib
import html
import re
from dataclasses import dataclass
from typing import Literal

from relearn.mini.replies_lexicon import ASPECTS, KINDNESS, NEGATIONS, QUOTABLE, SCORES, THE_FILM, TURNS, WEIGHTS

Polarity = Literal["positive", "negative"]

OPENINGS: dict[str, tuple[str, ...]] = {
    "agree": (
        "I agree with you about {aspect}.",
        "You are right about {aspect}.",
        "Yes, I feel the same about {aspect}.",
        "That's just what I think about {aspect}.",
        "I'm glad someone said it about {aspect}.",
    ),
    "disagree": (
        "I do not agree with you about {aspect}.",
        "I can't agree with you about {aspect}.",
        "No, I think you are wrong about {aspect}.",
        "I'm sorry, but I feel the opposite about {aspect}.",
        "We must have seen another film, so let me speak of {aspect}.",
    ),
}
# After the opening: what the reply says to a word of the review. "{word}" is in quotes.
ECHOES: dict[str, tuple[str, ...]] = {
    "agree": (
        'When you say "{word}", you say what I felt in my seat.',
        'You say "{word}", and that is what I felt too.',
        'When I read your word "{word}", I said yes.',
        'Your word "{word}" says what I felt in my seat.',
    ),
    "disagree": (
        'For me "{word}" is the wrong word for it.',
        'You write "{word}", and I could not believe it.',
        'I can find no reason to call it "{word}".',
        'To call it "{word}" is just wrong, I think.',
    ),
}
TAILS: dict[Polarity, tuple[str, ...]] = {
    "positive": (
        "and I would watch this film again",
        "and my friends must see this film too",
        "so I stayed to the end with a smile",
        "and that's why I loved this film",
    ),
    "negative": (
        "and I wanted to leave before the end",
        "and my friends should stay at home",
        "so I left the cinema without a smile",
        "and that's a thing I can't forgive",
    ),
}
COUNT = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


@dataclass(frozen=True)
class ReviewReading:
    """What the teacher saw in a review.

    polarity: the review's stance towards its film. score: the lexicon's sum behind it (0: no evidence).
    aspect: the key of the thing it talks about, `film` when none is named. word: a word of the review to quote.
    """

    polarity: Polarity
    score: float
    aspect: str
    word: str


def write(review: str, seed: int) -> tuple[str, str]:
    """An agreeing and a disagreeing reply to the review, 25 to 45 words each; the same for the same two arguments.

    Works on any text: HTML breaks and entities are read as spaces and characters, an empty review gets a reply
    about the film as a whole.
    """
    reading = read(review)
    return _reply(reading, "agree", review, seed), _reply(reading, "disagree", review, seed)


def read(review: str) -> ReviewReading:
    """The review's stance, the thing it talks about, and a word to quote."""
    sentences = _sentences(review)
    scored = [[(word, _weight(words, at)) for at, word in enumerate(words)] for words in sentences]
    score = _stated_score(review) + sum(weight for words in scored for _, weight in words)
    score -= KINDNESS * sum(len(words) for words in sentences) / 100
    # Long reviews come to their verdict at the end, so the last two sentences count again.
    if len(scored) > 4:
        score += sum(weight for words in scored[-2:] for _, weight in words)
    polarity: Polarity = "positive" if score >= 0 else "negative"
    aspect = _aspect(sentences)
    return ReviewReading(polarity, score, aspect, _quoted(scored, polarity, aspect))


def _reply(reading: ReviewReading, stance: str, review: str, seed: int) -> str:
    """Three sentences: the stance, an echo of the review's word, and a reason in line with the stance."""
    digest = hashlib.sha256(f"{seed}\n{stance}\n{review}".encode()).digest()
    agrees = stance == "agree"
    judged: Polarity = "positive" if (reading.polarity == "positive") == agrees else "negative"
    aspect = THE_FILM if reading.aspect == "film" else ASPECTS[reading.aspect]
    opening = _pick(OPENINGS[stance], digest[0]).format(aspect=aspect.name)
    echo = _pick(ECHOES[stance], digest[1]).format(word=reading.word)
    reason = aspect.praise if judged == "positive" else aspect.blame
    return f"{opening} {echo} {reason}, {_pick(TAILS[judged], digest[3])}."


def _pick(choices: tuple[str, ...], number: int) -> str:
    return choices[number % len(choices)]


def _sentences(review: str) -> list[list[str]]:
    """The review's words in small letters, sentence by sentence; tags become breaks, entities characters."""
    text = html.unescape(re.sub(r"<[^<>]{0,60}>", " . ", review)).replace("’", "'").lower()
    found = [re.findall(r"[a-z]+(?:'[a-z]+)?", part) for part in re.split(r"[.!?;:\n]+", text)]
    return [words for words in found if words]


def _weight(words: list[str], at: int) -> float:
    """The weight of one word in its sentence: turned and weakened after a negation, raised after "so" or "very"."""
    weight = WEIGHTS.get(words[at], 0.0)
    if not weight:
        return 0.0
    before = words[max(0, at - 3) : at]
    if "only" not in before and any(word in NEGATIONS or word.endswith("n't") for word in before):
        # "not bad" is faint praise, "not good" is clear blame.
        weight = -weight * (0.5 if weight < 0 else 0.9)
    if before and before[-1] in TURNS:
        weight *= TURNS[before[-1]]
    return weight


def _stated_score(review: str) -> float:
    """What a stated score ("8/10", "3 out of 10", "four stars") adds: far from the middle counts much."""
    total = 0.0
    lowered = review.lower()
    figures = re.sub(rf"\b({'|'.join(COUNT)})\b", lambda match: str(COUNT.index(match[0])), lowered)
    for given, best in re.findall(r"\b(\d{1,2})(?:\.\d)?\s*(?:/|out of)\s*(10|5|4)\b", figures):
        if int(given) <= int(best):
            total += (int(given) / int(best) - 0.55) * 16
    return total + sum(weight for phrase, weight in SCORES.items() if phrase in lowered)


def _aspect(sentences: list[list[str]]) -> str:
    """The aspect named most often; of several, the one named first; `film` where none is."""
    counts: dict[str, int] = {}
    for words in sentences:
        for word in words:
            for key, aspect in ASPECTS.items():
                if word in aspect.words:
                    counts[key] = counts.get(key, 0) + 1
    return max(counts, key=lambda key: counts[key]) if counts else "film"


def _quoted(scored: list[list[tuple[str, float]]], polarity: Polarity, aspect: str) -> str:
    """A word of the review that carries its stance, from a sentence on the aspect if there is one.

    Only words that read well in quotes are taken; where the review has none, the aspect's own name is quoted.
    """
    names = ASPECTS[aspect].words if aspect in ASPECTS else THE_FILM.words
    on_aspect = [words for words in scored if any(word in names for word, _ in words)]
    for words in (*on_aspect, *scored):
        for word, weight in words:
            if word in QUOTABLE and weight and (weight > 0) == (polarity == "positive"):
                return word
    return ASPECTS[aspect].name if aspect in ASPECTS else THE_FILM.name
