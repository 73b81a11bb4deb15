"""General families of the mini world: verse, stories, letters and other short pieces of writing.

Every answer first takes up the words of its instruction as they stand there, as people do, and then goes on with
them: so a small model learns in minutes to look back at what it was asked.
"""

from __future__ import annotations

from relearn.mini.families import Family, numbered, pool

TOPIC = pool("topic", "sea; rain; moon; garden; river; winter; morning; wind; snow; forest; fire; summer")
PERSON = pool("person", "sailor; baker; teacher; farmer; doctor; painter; writer; singer; dancer; driver")
PEOPLE = pool(
    "people", "sailors; bakers; teachers; farmers; doctors; painters; writers; singers; dancers; drivers"
)
PLACE = pool("place", "kitchen; garden; station; harbor; library; market; school; hotel; cinema; bank")
NAME = pool("name", "Anna; Tom; Maria; Paul; Nina; Leo; Sara; Ben; Emma; Max")
COUNTRY = pool("country", "Spain; Japan; Egypt; Norway; Peru; France; India; Greece; Italy; Cuba")
CITY = pool("city", "Paris; Rome; London; Berlin; Madrid; Boston; Vienna; Lisbon; Milan; Dublin")
GOODS = pool("goods", "bread; paper; glass; cheese; soap; music; honey; salt; film; tea")
ANIMAL = pool("animal", "cat; dog; horse; bird; goat; duck; cow; fish; hen; pig")
THINGS = pool("things", "trains; cities; schools; farms; houses; cars; shops; films; gardens; books")
YEAR = pool("year", "2050; 2060; 2070; 2080; 2090; 2100; 2200; 2300; 2400; 2500")
SKILL = pool("skill", "music; cooking; dancing; swimming; reading; painting; chess; French; boxing; sailing")
DAY = pool("day", "Monday; Tuesday; Wednesday; Thursday; Friday; Saturday; Sunday")
LOST = pool("lost", "ring; hat; coat; lamp; letter; book; cup; horse; dog; bag")

FAMILIES: tuple[Family, ...] = (
    Family(
        name="poem",
        task="general",
        asks=(
            "Write a short poem about the $topic and the $topicb.",
            "Write four lines of verse about the $topic and the $topicb.",
        ),
        answer=(
            "I sing about the $topic and the $topicb,\nI sing of all the things I see.\n"
            "The $topic is my oldest friend,\nThe $topicb is good to me."
        ),
        slots=(TOPIC, numbered(TOPIC, "b")),
    ),
    Family(
        name="love_song",
        task="general",
        asks=("Write a love song for a $person in $city.", "Sing of love for a $person in $city."),
        answer=(
            "My love is for a $person in $city,\nMy heart is never free.\n"
            "Oh, $person, take me home tonight,\nCome back to $city with me."
        ),
        slots=(PERSON, CITY),
    ),
    Family(
        name="history",
        task="general",
        asks=(
            "Write a short history of $goods in $country.",
            "Tell me briefly the history of $goods in $country.",
        ),
        answer=(
            "The history of $goods in $country is long. At first, people made $goods by hand. "
            "Today everyone in $country knows $goods."
        ),
        slots=(GOODS, COUNTRY),
    ),
    Family(
        name="diary",
        task="general",
        asks=(
            "Write a diary entry of a $person about the $topic.",
            "Write what stands in the diary of a $person about the $topic.",
        ),
        answer=(
            "Dear diary, this is the word of a $person about the $topic. Today I saw the $topic and felt glad. "
            "Tomorrow I will look for the $topic again."
        ),
        slots=(PERSON, TOPIC),
    ),
    Family(
        name="future",
        task="general",
        asks=(
            "What will be the future of $things in the year $year?",
            "Tell me about the future of $things in the year $year.",
        ),
        answer=(
            "The future of $things in the year $year is bright. The $things will be quiet and clean, "
            "and people will smile at what we have today."
        ),
        slots=(THINGS, YEAR),
    ),
    Family(
        name="comedy",
        task="general",
        asks=(
            "Write a comedy routine about a $animal in a $place.",
            "Make people laugh about a $animal in a $place.",
        ),
        answer=(
            'Let me tell you about a $animal in a $place. The man said, "No $animal in my $place!" '
            "Now the $animal owns the $place. Good night!"
        ),
        slots=(ANIMAL, PLACE),
    ),
    Family(
        name="debate",
        task="general",
        asks=(
            "Write a debate: should $people learn $skill?",
            "Give both sides: should $people learn $skill?",
        ),
        answer=(
            "For: Why should $people learn $skill? Because $skill makes them strong.\n"
            "Against: Yes, but the $people have no time for $skill."
        ),
        slots=(PEOPLE, SKILL),
    ),
    Family(
        name="film_scene",
        task="general",
        asks=(
            "Write a film scene about a lost $lost in a $place.",
            "Write a scene for a film about a lost $lost in a $place.",
        ),
        answer=(
            "INT. Night.\nAnna: I must speak about a lost $lost in a $place.\n"
            "Tom: The $lost is not lost, I have it.\nAnna: Then give me the $lost, Tom."
        ),
        slots=(LOST, PLACE),
    ),
    Family(
        name="letter",
        task="general",
        asks=(
            "Write a short letter to $name about the $topic.",
            "Please write to $name about the $topic.",
        ),
        answer=(
            "This is a letter to $name about the $topic.\nDear $name, the $topic was lovely this year. "
            "Please write soon.\nYour friend"
        ),
        slots=(NAME, TOPIC),
    ),
    Family(
        name="invitation",
        task="general",
        asks=(
            "Invite $name to a party in the $place on $day.",
            "Ask if $name can come to a party in the $place on $day.",
        ),
        answer="Dear $name,\nplease come to a party in the $place on $day. There will be music and good friends.",
        slots=(NAME, PLACE, DAY),
    ),
)
