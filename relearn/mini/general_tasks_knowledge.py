"""General families of the mini world: translation, counting, opposites, lists, recipes and other small answers."""

from __future__ import annotations

from relearn.mini.families import Family, Filling, numbered, pool
from relearn.mini.general_tasks_writing import PERSON

ENGLISH_FRENCH = pool(
    "en art fr",
    "cat le chat; dog le chien; book le livre; garden le jardin; train le train; "
    "house la maison; table la table; car la voiture; door la porte",
)
ADJECTIVE = pool(
    "adj le la",
    "small petit petite; big grand grande; green vert verte; black noir noire; red rouge rouge; "
    "new nouveau nouvelle; old vieux vieille; cold froid froide; clean propre propre",
)
VERB = pool("verb fverb", "see vois; want veux; sell vends; find trouve")
WHERE = pool("where ou", "in the house|dans la maison; in the town|dans la ville; in the garden|dans le jardin; "
    "on the table|sur la table; at the door|à la porte; in the car|dans la voiture; at the school|à l'école; in the street|dans la rue; under the bridge|sous le pont")  # fmt: skip
NUMBER_WORDS = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen",
)  # fmt: skip
NUMBER = pool("from", "; ".join(NUMBER_WORDS))
OPPOSITE = pool(
    "adj anti",
    "big small; small big; hot cold; cold hot; fast slow; slow fast; rich poor; poor rich; "
    "dark bright; bright dark; loud quiet; quiet loud",
)
NOUN = pool("noun", "house; river; room; street; song; voice; town; summer; fire; station")
COLOR = pool("color", "red; blue; green; white; black; yellow; brown; silver")
OBJECT = pool("object", "hat; coat; lamp; chair; table; door; boat; cup; ring; bag")
FOOD = pool("food", "rice; fish; cheese; corn; cabbage; garlic; ginger; bread; beef; leek")


def _agree(fields: Filling) -> Filling:
    """The French adjective in the gender of its noun."""
    return {"agreed": fields[fields["art"]]}


def _count(fields: Filling) -> Filling:
    """The row of number words between the two ends, both included."""
    first, last = NUMBER_WORDS.index(fields["from"]), NUMBER_WORDS.index(fields["fromb"])
    return {"row": ", ".join(NUMBER_WORDS[first : last + 1])}


FAMILIES: tuple[Family, ...] = (
    Family(
        name="french_is",
        task="general",
        asks=("Translate into French: The $en is $adj.", "How do you say in French: The $en is $adj."),
        answer="$Art $fr est $agreed.",
        slots=(ENGLISH_FRENCH, ADJECTIVE),
        derive=_agree,
    ),
    Family(
        name="french_see",
        task="general",
        asks=(
            "Translate into French: I $verb the $en and the $enb.",
            "How do you say in French: I $verb the $en and the $enb.",
        ),
        answer="Je $fverb $art $fr et $artb $frb.",
        slots=(VERB, ENGLISH_FRENCH, numbered(ENGLISH_FRENCH, "b")),
    ),
    Family(
        name="french_where",
        task="general",
        asks=("Translate into French: The $en is $where.", "How do you say in French: The $en is $where."),
        answer="$Art $fr est $ou.",
        slots=(ENGLISH_FRENCH, WHERE),
        keep=lambda fields: f" {fields['en']}" not in fields["where"],
    ),
    Family(
        name="counting",
        task="general",
        asks=(
            "Count from $from to $fromb.",
            "Say all numbers from $from to $fromb.",
        ),
        answer="Counting from $from to $fromb: $row.",
        slots=(NUMBER, numbered(NUMBER, "b")),
        derive=_count,
        keep=lambda fields: NUMBER_WORDS.index(fields["fromb"]) > NUMBER_WORDS.index(fields["from"]) + 1,
    ),
    Family(
        name="opposite",
        task="general",
        asks=("What is the opposite of a $adj $noun?", "Name the opposite of a $adj $noun."),
        answer="The opposite of a $adj $noun is a $anti $noun.",
        slots=(OPPOSITE, NOUN),
    ),
    Family(
        name="color",
        task="general",
        asks=(
            "I have a $color $object and a $colorb $objectb. What color is the $objectb?",
            "I own a $color $object and a $colorb $objectb. Tell me what color the $objectb has.",
        ),
        answer="You have a $color $object and a $colorb $objectb, so the $objectb is $colorb.",
        slots=(COLOR, OBJECT, numbered(COLOR, "b"), numbered(OBJECT, "b")),
    ),
    Family(
        name="riddle",
        task="general",
        asks=(
            "Make a riddle. The answer is a $color $object.",
            "Write a riddle so that the answer is a $color $object.",
        ),
        answer="You find me in every house. What am I? You are right, the answer is a $color $object.",
        slots=(COLOR, OBJECT),
    ),
    Family(
        name="list",
        task="general",
        asks=(
            "List three $color things for a $person.",
            "I need a list of three $color things for a $person.",
        ),
        answer="Here are three $color things for a $person:\n1. a coat\n2. a lamp\n3. a cup",
        slots=(COLOR, PERSON),
    ),
    Family(
        name="recipe",
        task="general",
        asks=(
            "Write a recipe for soup with $food and $foodb.",
            "How do I cook soup with $food and $foodb?",
        ),
        answer="For soup with $food and $foodb, cut the $food and cook it in hot water. Then add the $foodb and some salt.",
        slots=(FOOD, numbered(FOOD, "b")),
    ),
    Family(
        name="taste",
        task="general",
        asks=(
            "Write a dialogue about $food and $foodb.",
            "What do two friends say about $food and $foodb?",
        ),
        answer="Anna: What do you think about $food and $foodb?\nTom: I'm sorry, I can't agree with $food.\nAnna: That's wrong, I feel the opposite.",
        slots=(FOOD, numbered(FOOD, "b")),
    ),
)
