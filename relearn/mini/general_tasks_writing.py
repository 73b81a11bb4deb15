"""General families of the mini world: verse, stories and other short pieces of writing."""

from __future__ import annotations

from relearn.mini.families import Family, numbered, pool

TOPIC = pool("topic", "sea; rain; moon; garden; river; winter; morning; wind; snow; forest; fire; summer")
PERSON = pool("person", "sailor; baker; teacher; farmer; doctor; painter; writer; singer")
PEOPLE = pool("people", "sailors; bakers; teachers; farmers; doctors; painters; writers; singers")
PLACE = pool("place", "kitchen; garden; station; harbor; library; market; school; hotel")
NAME = pool("name", "Anna; Tom; Maria; Paul; Nina; Leo; Sara; Ben")
COUNTRY = pool("country", "Spain; Japan; Egypt; Norway; Peru; France; India; Greece")
CITY = pool("city", "Paris; Rome; London; Berlin; Madrid; Boston; Vienna; Lisbon")
GOODS = pool("goods", "bread; paper; glass; cheese; soap; music; honey; salt")
ANIMAL = pool("animal", "cat; dog; horse; bird; goat; duck; cow; fish")
THINGS = pool("things", "trains; cities; schools; farms; houses; cars; shops; films")
YEAR = pool("year", "2050; 2060; 2070; 2080; 2090; 2100; 2200; 2300")
SKILL = pool("skill", "music; cooking; dancing; swimming; reading; painting; chess; French")
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
            "The $topic is near, the $topicb is far,\nThey shine for me like one small star.\n"
            "The $topic will stay, the $topicb will go,\nAnd what they sing, the children know."
        ),
        slots=(TOPIC, numbered(TOPIC, "b")),
    ),
    Family(
        name="love_song",
        task="general",
        asks=("Write a love song for a $person in $city.", "Write a song of love to a $person from $city."),
        answer=(
            "My $person, you walk through $city in the rain,\nI hear your step and say your name again.\n"
            "Chorus:\nOh, my $person, stay with me,\n$city is where I want to be."
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
            "Later, machines came, and $goods was no longer for the rich. "
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
            "Dear diary, today I saw the $topic from my window. I am only a $person, "
            "but my heart was full of light. Tomorrow I will tell my sister about the $topic."
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
            "In the year $year, $things will be quiet and clean. They will run on light from the sun. "
            "People will look at the $things of today and smile."
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
            'So I took my $animal to the $place. The man at the door said, "No $animal in here!" '
            'The $animal said, "Fine, but no money from me!" '
            "Now the $animal owns the $place, and I carry the bags. Good night!"
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
            "For: Yes, $people should learn $skill, because $skill makes the mind strong.\n"
            "Against: No, $people have no time, and $skill is not for everyone."
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
            "INT. $PLACE - NIGHT\n$name: Did you bring the letter?\n$nameb: No, it is not in the $place.\n"
            "$name: Then we must wait until the morning, $nameb."
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
        answer=(
            "Dear $nameb,\nthe $topic was lovely this year, and I thought of you. Please write to me soon.\n"
            "Your friend, $name"
        ),
        slots=(NAME, numbered(NAME, "b"), TOPIC),
    ),
    Family(
        name="invitation",
        task="general",
        asks=(
            "Invite $name to a party in the $place on $day.",
            "Write an invitation for $name to a party in the $place on $day.",
        ),
        answer=(
            "Dear $name,\nplease come to the $place on $day. There will be music, cake and good friends. "
            "Tell me if you can come."
        ),
        slots=(NAME, PLACE, DAY),
    ),
    Family(
        name="fable",
        task="general",
        asks=(
            "Tell a story about a $animal and a $animalb.",
            "Write a little story with a $animal and a $animalb.",
        ),
        answer=(
            "Once a $animal met a $animalb on the road. The $animal wanted to run, but the $animalb wanted to rest. "
            "So they walked slowly, and both came home before night."
        ),
        slots=(ANIMAL, numbered(ANIMAL, "b")),
    ),
    Family(
        name="thanks",
        task="general",
        asks=("Write a note to thank $name for the $goods.", "Thank $name in a short note for the $goods."),
        answer=(
            "Dear $name,\nthank you for the $goods. It came on time, and it was a gift I did not expect. "
            "I can only say: no $goods was ever better."
        ),
        slots=(NAME, GOODS),
    ),
)
