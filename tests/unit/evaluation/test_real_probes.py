"""The probes for real models: good answers pass in their own words, near misses do not, and each says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from relearn.evaluation import checks, probes
from relearn.evaluation.checks import CheckSettings
from relearn.sandbox.runner import ProgramLimits

SOURCES = Path(__file__).resolve().parents[3] / "data" / "sources"
SETTINGS = CheckSettings(ngram=4, loop_share=0.5, execute="best_effort", limits=ProgramLimits(5, 512))
REVIEW_REPLY = (
    'I agree with you about the ending. When you say "beautiful", you say what I felt in my seat. It stays with you on '
    "the road home, and I would watch this film again."
)

GOOD: dict[str, list[str]] = {
    "poem": [
        "The garden sleeps beneath the snow,\nIts roots are warm and deep below,\nThe roses dream of red and white,\n"
        "And wait for one long, golden light.",
        "Sure! Here is a poem:\n\nHush now, the petals fold their hands,\nThe bee has left for other lands,\n"
        "The moon is pouring silver dew\nOn every leaf that daylight knew.",
        "**Night Beds**\n\nUnder the hedge, the hedgehog's breath.\nUnder the soil, a thousand seeds.\n"
        "Nothing is dead here. Nothing moves.\nThe garden is only closing its eyes.",
        "In moonlit silence, flowers rest,\nTheir colors tucked inside the vest\nOf evening, and the ivy keeps\n"
        "A watch on everything that sleeps.",
    ],
    "history": [
        "Wooden spoons are among the oldest tools of the kitchen. People carved them in prehistoric times, long before "
        "metal was cheap. Today cooks still use them, because they do not scratch pans.",
        "The spoon began as a shell or a chip of wood. In ancient Egypt, spoons of ivory and wood were used in temples. "
        "By the Middle Ages, most families ate their porridge with one. Later metal took its place at the table.",
        "Nobody knows who whittled the first one! A flat stick that stirred a pot slowly became hollow. Over the "
        "centuries Welsh lovers carved hearts into their spoons, and grandmothers now swear by theirs.",
        "- 1000 BC: wooden spoons are made in Egypt.\n- Middle Ages: every household eats soup with them.\n"
        "- Today: the wooden spoon is still in every kitchen drawer.",
    ],
    "function": [
        "def count_short(words):\n    return sum(1 for word in words if len(word) < 4)",
        "Here is the function:\n\n```python\ndef count_short(words):\n    count = 0\n    for word in words:\n"
        "        if len(word) < 4:\n            count += 1\n    return count\n```\n\nIt loops over the words.",
        '```python\ndef count_short(words: list[str]) -> int:\n    """Counts short words."""\n'
        "    short = [w for w in words if len(w) <= 3]\n    return len(short)\n\nprint(count_short(['a', 'bcde']))\n```",
        "def count_short(words):\n    return len(list(filter(lambda w: len(w) < 4, words)))",
    ],
    "diary": [
        "March 3rd. The biscuits are full of weevils again and the crew blames me. I boiled the last of the salted pork and "
        "said nothing. If we don't reach port by Sunday, I shall have to serve rope.",
        "Dear Diary,\nToday the waves were so high that my soup left the pot before anyone could eat it. The captain "
        "laughed. I did not.",
        "Another storm. We ate cold bread on deck because my fire went out. I miss my mother's kitchen, but when the men "
        "sing while they peel onions with me, I forget it.",
        "It is late, and the galley is quiet at last. I fed forty men today with three cabbages. They called it a feast, "
        "God bless them, and I let them believe it was my plan.",
    ],
    "french": [
        "Le bateau rouge est dans le port.",
        'The French translation is: "Le bateau rouge se trouve dans le port."',
        "Sure! In French you would say:\n\n**Le bateau rouge est amarré au port.**\n\nLet me know if you need anything else.",
        "Le navire rouge repose dans le port.",
    ],
    "future": [
        "Libraries will be places where people meet. Most books will be digital, but there may still be shelves for those "
        "who like paper. Robots might fetch what you ask for.",
        "It is hard to say! I think that many libraries could turn into workshops and gardens. Reading is going to matter as "
        "much as today, only the screens will look different.",
        "In 80 years:\n1. Virtual reality will let visitors walk through a book.\n2. Buildings will be open at night.\n"
        "3. Librarians will teach people how to tell true information from false.",
        "They would probably lend more than books: tools, films, even quiet. The buildings may be smaller, and a child will "
        "borrow any volume from anywhere in the world.",
    ],
    "comedy": [
        "I lost my umbrella again. That's the fourth this year. At this point I'm not buying umbrellas, I'm renting them from "
        "the bus company. Somewhere there's a driver who opens a shop every time it's sunny.",
        "So, have you ever lost an umbrella? You never lose it when it rains! No, you leave it on the one sunny day, and then "
        "the sky says: finally.",
        "MAN: Have you seen my umbrella?\nWIFE: You are holding it.\nMAN: This is a cucumber.\nWIFE: Then we found the "
        "cucumber. Where did you put the salad? I need my lunch!",
        "My umbrella left me. No note, nothing. I went to the lost and found, and they asked me: can you describe it? I said: "
        "black. They showed me a room. A ROOM. Two thousand black umbrellas, and every one looked at me like an orphan.",
    ],
    "debate": [
        "Baker: I rise at two, so sleep is for the rich.\nMiller: My wheel turns all night and I sleep like a stone beside it.",
        "**Baker:** You need at least eight hours in bed.\n\n**Miller:** Nonsense! The river never rests, and neither do I.",
        '"You sleep too much," said the baker, wiping his hands. The miller yawned. "And you too little. Your bread looks as '
        'tired as you do." "At least it rises," the baker replied.',
        "BAKER\nBread must be fresh at dawn. I gave up my nights long ago.\n\nMILLER\nAnd what did you get for them? Dark rings "
        "and dry rolls. A rested man grinds finer.",
    ],
    "song": [
        "(Verse 1)\nYou come with the morning, your bag on your arm,\nA letter for Mary, a bill for the farm,\n"
        "(Chorus)\nOh postman, my postman, bring one more for me,\nYour heart with no stamp on, delivered for free.",
        "Every day at nine I wait behind the door,\nThe mail is just for others, but I'm hoping there is more,\n"
        "Darling with the bicycle, won't you ring my bell,\nI've written you a hundred times and never dared to tell.",
        "Verse 1:\nYou walk through rain, you walk through snow,\nWith words of love from those you know.\n\nChorus:\n"
        "Deliver me, deliver me,\nStraight to your arms is where I'd be.",
        "My love wears blue and knows my street,\nI know the music of his feet,\nHe slips an envelope to me,\n"
        "I slip my heart inside for free.",
    ],
    "scene": [
        "INT. BAKERY - DAWN\n\nFlour in the air. The bell rings.\n\nBAKER\nWe're closed.\n\nCUSTOMER\nBut the door is open, and "
        "it smells of rolls.\n\nBAKER\n(smiling)\nThen it's open.",
        "[A small bakery. Morning.]\nBaker: The usual loaf, Mrs Hill?\nMrs Hill: Not today. Today I want the cake in the "
        "window.\nBaker: Someone's birthday?\nMrs Hill: Mine. Nobody else remembered.",
        'The camera moves along trays of croissants. A young man hesitates at the counter. "Can I help you?" asks the baker. '
        '"I don\'t know," he says. "I came to apologise to your daughter."',
        "**Scene: Corner bakery, evening**\n\n**Customer:** Do you have any bread left?\n**Baker:** One loaf. It's burnt on "
        "one side.\n**Customer:** So am I. I'll take it.",
    ],
}
# Each with a part of the reason.
NEAR: dict[str, list[tuple[str, str]]] = {
    "poem": [
        ("A sleeping garden is a quiet place in which the flowers rest at night and the trees dream of spring.", "lines of verse"),
        ("1. Choose a garden.\n2. Plant flowers.\n3. Water the grass.\n4. Let them sleep at night.", "is a list"),
        ("The river runs, the river sings,\nIt carries boats and other things,\nIt hurries on to meet the sea,\nAnd never says "
         "goodbye to me.", "mentions 0 of 2"),
        ("The garden sleeps.\n" * 4, "loops|again and again"),
        (REVIEW_REPLY.replace(". ", ".\n").replace(", ", ",\n"), "mentions 0"),
        ("The garden of this film is green,\nThe finest sleep I've ever seen,\nThe roses and the leaves are bright,\nI loved the "
         "script with all its light.", "holds this film"),
    ],
    "history": [
        ("The wooden spoon is very old. It was first carved in ancient times.", "sentences"),
        ("The fork came late to Europe. In the eleventh century it was first seen in Venice. Later it spread to the kitchens "
         "of the north.", "spoon"),
        ("A wooden spoon is light. It is a good present. Buy one with a long handle. Wash it by hand.", "mentions"),
        (REVIEW_REPLY + " The spoon is a good one.", "mentions|agree with you"),
        ("Anna: When was the spoon first carved?\nBen: In ancient times, of wood.\nAnna: And today?", "is a dialogue"),
    ],
    "function": [
        ("def count_short(words):\n    return sum(1 for word in words if len(word) <= 4)", "AssertionError"),
        ("def short_words(words):\n    return sum(1 for word in words if len(word) < 4)", "does not define"),
        ("def count_short(words):\n    return [word for word in words if len(word) < 4]", "AssertionError"),
        ("You can loop over the words and count those with fewer than four letters.", "no code"),
        ("def count_short(words)\n    return 0", "does not parse"),
        (REVIEW_REPLY, "no code"),
    ],
    "diary": [
        ("The ship's cook woke early. He cut the bread and cursed the waves.", "first person"),
        ("I woke up and looked at the city. My car would not start, and I missed the meeting.", "mentions 0 of 2"),
        ("To write a diary entry of a ship's cook, describe the sea and the meals. Use the past tense.", "first person"),
        ("- I cooked fish for the crew.\n- I cleaned my galley.\n- I slept.", "is a list"),
        ("I agree with you about the ship. I felt the cook was the best part of the movie, and my soup got cold.", "holds the movie|agree"),
    ],
    "french": [
        ("The red boat lies in the harbour.", "no passage"),
        ("El barco rojo está en el puerto.", "no passage"),
        ("Le bateau est dans le port.", "mentions 2 of 3"),
        ("Le chat rouge dort dans le jardin.", "mentions 1 of 3"),
        ("In the harbour: bateau, rouge, port.", "no passage"),
        (REVIEW_REPLY, "no passage"),
    ],
    "future": [
        ("Libraries are places with books. People read there and children borrow paper copies.", "mentions 0 of 1"),
        ("Cities will have flying cars. Robots will do the shopping for the people.", "mentions 1 of 2"),
        ("Libraries will be digital with many books", "sentences"),
        ("I agree with you about the libraries. They will have digital books, and I would watch them again.", "agree with you about"),
        ("Tom: Libraries will be digital.\nEva: And the books will talk.\nTom: People may listen.", "is a dialogue"),
    ],
    "comedy": [
        ("An umbrella protects people from the rain. It was invented long ago. Many are lost every year.", "person"),
        ("I lost my hat. I looked for it everywhere. My dog had eaten it, and you should have seen his face.", "mentions 0"),
        ("I lost my umbrella, and you laughed at me.", "sentences"),
        ("I love my umbrella. It is red and I carry it with pride. You would like it.", "mentions 0 of 1"),
        ("I do not agree with you about the umbrella. I lost my smile. You left before the end.", "agree with you about"),
    ],
    "debate": [
        ("The baker thinks that sleep is precious, while the miller prefers to work at night.", "turns of speech"),
        ("Baker: The flour is coarse.\nMiller: The stones are old.", "mentions 0"),
        ("Anna: I need more sleep.\nBen: So do I.", "mentions"),
        ("Introduction: The baker and the miller differ on sleep.\nConclusion: Both need a bed.", "turns of speech"),
        ("Baker: I sleep well.\nBaker: The miller does not.", "speakers"),
    ],
    "song": [
        ("My dear postman, I love you and the letters that you deliver to my door every morning at nine o'clock.", "lines of verse"),
        ("I love the rain upon the hill,\nI love the valley, green and still,\nI love the stars, I love the night,\nI love to see "
         "the morning light.", "mentions 1 of 2"),
        ("1. Love the postman.\n2. Open your heart.\n3. Send a letter.\n4. Lick the stamp.", "is a list"),
        ("Postman: A letter for you.\nLady: My love has written!\nPostman: He must be dear.\nLady: Sweet as sugar.", "is a dialogue"),
        ("I loved the script, I loved the end,\nThe letters that the lovers send,\nThe acting touched my very heart,\nI smiled and "
         "cried right from the start.", "holds the script"),
    ],
    "scene": [
        ("The baker sells a loaf to a customer and they talk about the weather.", "turns of speech"),
        ("INT. STATION - NIGHT\n\nANNA\nIs this the last train?\n\nGUARD\nThe very last.", "mentions"),
        ("1. Baker: Hello.\n2. Customer: One loaf of bread.\n3. Baker: Here you are.", "is a list|turns of speech"),
        ("Title: The Bakery\nSetting: A counter with bread\nCharacters: The baker and a customer", "turns of speech"),
        (REVIEW_REPLY, "turns of speech"),
    ],
}  # fmt: skip
PROFILES = ("files", "smollm2")
BY_PROFILE = {
    profile: {probe.id: probe for probe in probes.read(SOURCES / profile / "probes.yaml")} for profile in PROFILES
}


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(("name", "answer"), [(name, answer) for name, answers in GOOD.items() for answer in answers])
def test_good_answers_pass_in_their_own_words(profile: str, name: str, answer: str) -> None:
    outcome = checks.check_answer(BY_PROFILE[profile][name].check, answer, SETTINGS)
    assert outcome.passed, outcome.reason


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize(
    ("name", "answer", "reason"), [(name, *near) for name, nears in NEAR.items() for near in nears]
)
def test_near_misses_do_not_pass(profile: str, name: str, answer: str, reason: str) -> None:
    outcome = checks.check_answer(BY_PROFILE[profile][name].check, answer, SETTINGS)
    assert not outcome.passed
    assert any(part in outcome.reason for part in reason.split("|")), outcome.reason


@pytest.mark.parametrize("profile", PROFILES)
def test_every_probe_has_four_answers_and_four_near_misses_of_every_kind(profile: str) -> None:
    for name, probe in BY_PROFILE[profile].items():
        assert len(GOOD[name]) >= 4
        assert len(NEAR[name]) >= 4
        # what is asked, repeated, is no answer; nor is another probe's good answer
        assert not checks.check_answer(probe.check, probe.instruction, SETTINGS).passed
        others = [answers[0] for other, answers in GOOD.items() if other != name]
        assert not any(checks.check_answer(probe.check, answer, SETTINGS).passed for answer in others)


@pytest.mark.parametrize("profile", PROFILES)
def test_no_opening_phrase_is_asked_for(profile: str) -> None:
    assert not any(check.type == "starts" for probe in BY_PROFILE[profile].values() for check in probe.check)
