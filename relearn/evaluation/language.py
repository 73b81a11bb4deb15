"""Which language a short answer is written in, told by its function words, or by its script."""

from __future__ import annotations

import re

import regex

# The commonest function words. A short answer of a small model holds a few of them at most, where a statistical
# identifier needs a paragraph; nothing has to be installed.
FUNCTION_WORDS = {
    language: frozenset(words.split())
    for language, words in {
        "fr": """le les des est et dans une du au aux il elle je tu nous vous ils elles qui avec pour sur ce
            cette ces mon ma mes ton ta ses son leur pas ne sont était être mais où chez très plus l' d' j'
            c' n' s' qu' m' t'""",
        "en": """the is and of to in that it was for with he she they his her on are this be at have from by not
            but or we you my your their there what which will would has had were""",
        "de": """der das den dem ist und ein eine einen nicht ich du wir ihr sie mit auf für von zu auch war sind
            im am aus bei nach wie wenn aber oder sein hat haben""",
        "es": """el los las es y en que del al por con para su sus una se no lo como más pero está son era muy mi
            tu yo hay también cuando porque""",
        "it": """il lo gli è e di che nel della dello degli del con per una sono era non si come più ma anche mi
            ti io lui lei questo questa molto perché""",
    }.items()
}
# Words that two of these languages share say half as much.
SHARED = {
    word
    for words in FUNCTION_WORDS.values()
    for word in words
    if sum(word in other for other in FUNCTION_WORDS.values()) > 1
}


# A script's language; of two languages the one whose own letters the answer holds, else the first.
SCRIPTS = {
    r"\p{Han}\p{Hiragana}\p{Katakana}": {"zh": "", "ja": r"[\p{Hiragana}\p{Katakana}]"},
    r"\p{Hangul}": {"ko": ""},
    r"\p{Cyrillic}": {"ru": "", "uk": "[іїєґІЇЄҐ]", "": "[ўЎђћџјљњѓќѕҚқҒғӘәҮүҰұҺһЂЋЏЈЉЊЃЌЅ]"},
    r"\p{Greek}": {"el": ""},
    r"\p{Hebrew}": {"he": ""},
    r"\p{Arabic}": {"ar": "", "fa": "[پچژگی]", "": "[ٹڈڑےں]"},
    r"\p{Devanagari}": {"hi": "", "": "ळ"},
    r"\p{Thai}": {"th": ""},
}


def identify_script(answer: str) -> str | None:
    """The language that most letters of an answer are of by their script; empty for one that is not told apart, None for Latin."""
    letters = len(regex.findall(r"\p{L}", answer))
    for script, languages in SCRIPTS.items():
        if 2 * len(regex.findall(rf"(?=\p{{L}})[{script}]", answer)) > letters:
            first, *others = languages
            return next((name for name in reversed(others) if regex.search(languages[name], answer)), first)
    return None


def identify_language(answer: str) -> str | None:
    """The language of the script, or in Latin that whose function words are the most frequent; None where no language
    is clear.
    """
    script = identify_script(answer)
    if script is not None:
        return script or None
    words = re.findall(r"[^\W\d_]+['’]|[^\W\d_]+", answer.lower())
    words = [word.replace("’", "'") for word in words]
    scores = {
        name: sum(1.0 if word not in SHARED else 0.5 for word in words if word in known)
        for name, known in FUNCTION_WORDS.items()
    }
    ranked = sorted(scores.items(), key=lambda pair: (-pair[1], pair[0]))
    (best, first), (_, second) = ranked[0], ranked[1]
    return best if first >= 1 and first > second else None
