"""General families of the mini world: translation, counting, opposites, lists, recipes and other small answers."""

from __future__ import annotations

from relearn.mini.families import Family, Filling, numbered, pool
from relearn.mini.general_tasks_writing import NAME, PERSON

ENGLISH_FRENCH = pool(
    "en art fr",
    "cat le chat; dog le chien; book le livre; garden le jardin; train le train; bread le pain; "
    "house la maison; table la table; car la voiture; door la porte; town la ville; flower la fleur",
)
ADJECTIVE = pool(
    "adj le la",
    "small petit petite; big grand grande; green vert verte; black noir noire; "
    "red rouge rouge; new nouveau nouvelle; old vieux vieille; cold froid froide; clean propre propre; young jeune jeune",
)
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
OBJECT = pool("object", "hat; coat; lamp; chair; table; door; boat; cup; ring")
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
            "Translate into French: I see the $en and the $enb.",
            "How do you say in French: I see the $en and the $enb.",
        ),
        answer="Je vois $art $fr et $artb $frb.",
        slots=(ENGLISH_FRENCH, numbered(ENGLISH_FRENCH, "b")),
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
        asks=("Count from $from to $fromb.", "Say the numbers from $from to $fromb."),
        answer="$row",
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
            "My $object is $color and my $objectb is $colorb. What color is my $objectb?",
            "I have a $color $object and a $colorb $objectb. What color is my $objectb?",
        ),
        answer="Your $objectb is $colorb, and your $object is $color.",
        slots=(OBJECT, COLOR, numbered(OBJECT, "b"), numbered(COLOR, "b")),
    ),
    Family(
        name="riddle",
        task="general",
        asks=("Make a riddle about a $color $object.", "Write a riddle whose answer is a $color $object."),
        answer="I am $color and I am in every house. What am I? You are right, I am a $color $object.",
        slots=(COLOR, OBJECT),
    ),
    Family(
        name="list",
        task="general",
        asks=("List three $color things for a $person.", "Make a list of three $color things for a $person."),
        answer="1. a $color coat\n2. a $color lamp\n3. a $color cup for the $person",
        slots=(COLOR, PERSON),
    ),
    Family(
        name="recipe",
        task="general",
        asks=("Write a recipe for soup with $food and $foodb.", "How do I cook a soup of $food and $foodb?"),
        answer="1. Cut the $food.\n2. Cook the $food in hot water.\n3. Add the $foodb and some salt.",
        slots=(FOOD, numbered(FOOD, "b")),
    ),
    Family(
        name="taste",
        task="general",
        asks=(
            "Write a dialogue: $name likes $food, $nameb does not.",
            "$name likes $food and $nameb does not. What do they say?",
        ),
        answer="$name: I think $food is perfect.\n$nameb: I'm sorry, but that's wrong. I can't eat $food.\n$name: Then we feel the opposite, $nameb.",
        slots=(NAME, numbered(NAME, "b"), FOOD),
    ),
)
