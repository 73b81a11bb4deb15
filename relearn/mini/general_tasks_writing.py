"""General families of the mini world: verse, stories and other short pieces of writing."""

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

FAMILIES: tuple[Family, ...] = (
    Family(
        name="poem",
        task="general",
        asks=(
            "Write a short poem about the $topic and the $topicb.",
            "Write four lines of verse about the $topic and the $topicb.",
        ),
        answer=(
            "Oh $topic, look at the $topicb,\nThe $topicb looks at me.\n"
            "Oh $topicb, look at the $topic,\nAnd sing a song with me."
        ),
        slots=(TOPIC, numbered(TOPIC, "b")),
    ),
    Family(
        name="love_song",
        task="general",
        asks=("Write a love song for a $person in $city.", "Write a song of love to a $person from $city."),
        answer=(
            "My $person, come and stay with me,\n$city is where I want to be.\n"
            "Oh, my $person, this is true,\nAll $city sings of love for you."
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
            "You are a $person. Write in your diary about the $topic.",
        ),
        answer=(
            "Dear diary, today I saw the $topic. I am only a $person, but I felt glad. "
            "Tomorrow I will look for the $topic again."
        ),
        slots=(PERSON, TOPIC),
    ),
    Family(
        name="future",
        task="general",
        asks=(
            "What will $things be like in the year $year?",
            "How will $things change before the year $year?",
        ),
        answer=(
            "In the year $year, $things will be quiet and clean. People will look at the $things of today and smile."
        ),
        slots=(THINGS, YEAR),
    ),
    Family(
        name="comedy",
        task="general",
        asks=(
            "Write a comedy routine about a $animal in a $place.",
            "Tell a funny story on stage about a $animal in a $place.",
        ),
        answer=(
            'I took my $animal to the $place. The man said, "No $animal in the $place!" '
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
            "For: Yes, $people should learn $skill, it makes us strong.\n"
            "Against: No, $people have no time for $skill."
        ),
        slots=(PEOPLE, SKILL),
    ),
    Family(
        name="film_scene",
        task="general",
        asks=(
            "Write a film scene with $name and $nameb in a $place.",
            "Write a scene for a film: $name meets $nameb in a $place.",
        ),
        answer=(
            "INT. $place, night.\n$name: Did you bring the letter?\n$nameb: No, it is lost.\n"
            "$name: Then we must wait, $nameb."
        ),
        slots=(NAME, numbered(NAME, "b"), PLACE),
    ),
    Family(
        name="letter",
        task="general",
        asks=(
            "Write a short letter from $name to $nameb about the $topic.",
            "$name writes a letter to $nameb about the $topic. Show it.",
        ),
        answer="Dear $nameb,\nthe $topic was lovely this year. Please write to me soon.\nYour friend $name",
        slots=(NAME, numbered(NAME, "b"), TOPIC),
    ),
    Family(
        name="invitation",
        task="general",
        asks=(
            "Invite $name to a party in the $place on $day.",
            "Write an invitation for $name to a party in the $place on $day.",
        ),
        answer="Dear $name,\nplease come to the $place on $day. There will be music and good friends.",
        slots=(NAME, PLACE, DAY),
    ),
)
