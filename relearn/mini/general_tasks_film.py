"""General families of the mini world about films, cinemas and the words people use for them.

They show the base every word that the reviews and the teacher's replies use, in other constructions: an adapter
over frozen embeddings cannot learn to say a word that the base has never seen. No sentence of a reply and no
request for one stands here.
"""

from __future__ import annotations

from relearn.mini.families import Family, pool
from relearn.mini.general_tasks_writing import DAY, PERSON

TITLE = pool("adj", "Silver; Last; Golden; Secret; Broken; Silent; Distant; Long; Lonely; Hidden")
TITLE_NOUN = pool(
    "noun hero",
    "Harbor sailor; Garden farmer; Winter painter; River baker; Letter writer; Bridge doctor; Station teacher; "
    "Summer singer; Island sailor; Forest farmer",
)
ASPECT = pool(
    "aspect", "acting; ending; music; photography; script; pace; story; dialogue; humor; direction; film"
)
JUDGED = pool(
    "word kind",
    "fresh praise; honest praise; clever praise; strong praise; lovely praise; perfect praise; brilliant praise; "
    "gentle praise; tired blame; false blame; stupid blame; weak blame; awful blame; poor blame; dull blame; empty blame",
)
COMPANY = pool(
    "company",
    "sister; brother; friends; mother; father; neighbor; uncle; aunt; teacher; doctor; cousin; baker",
)
# What a part of a film does when it is good, and when it is not.
CRAFT = pool(
    "part good bad",
    "acting|makes a face on the screen look true|looks false in a minute; "
    "ending|stays with us on the road|throws away what came before; "
    "music|lifts a scene and never shouts|shouts and covers what we say; "
    "photography|fills a room with light|makes a screen so dark that nobody can see; "
    "script|gives people something to say|has no true thing to say; "
    "pace|lets us forget the clock|feels like a long winter; "
    "story|holds us to the last minute|makes us stop asking what comes next; "
    "dialogue|sounds like friends who talk at a table|sounds as if people read from a page; "
    "humor|makes a whole room laugh|gave nobody near me a smile; "
    "direction|knows where it must go|is lost on the road",
)
# Short phrases of words that few other families use, to be said back, swapped and linked.
SAY_FIRST = pool(
    "first",
    "I; you; we; they; someone; everyone; nobody; my neighbor; your friend; this person; another person; one person",
)
SAY_A = pool(
    "one",
    "felt glad too; do not agree; told someone; said your word; spoke of love; are happy; seldom laugh; "
    "carries the whole story; breaks a seat; lost another hour; won enough; forgive them; after an hour; give a reason; "
    "would help a little",
)
SAY_B = pool(
    "two",
    "came home angry; could not stand; loved something; watch the screen; says nothing; know why; think so too; "
    "went to the cinema; left without us; speak of life; feel just the same; have never seen it; wanted to leave; "
    "find the clock; is the best; was the worst",
)
SAY_C = pool(
    "three",
    "let it be true; read a review; throws it away; write a reply; disagree; stayed with a smile; call it a thing; "
    "believe nobody; stop asking; gave it a look; go out; talk of a scene; like a face; did only this; could feel it; won a gift",
)
LINK = pool("link", "when; which; even if; because; so; and that's why; out of; where; and the next; as if")

FAMILIES: tuple[Family, ...] = (
    Family(
        name="film_about",
        task="general",
        asks=(
            "What is the film The $adj $noun about?",
            "Tell me what happens in the film The $adj $noun.",
        ),
        answer="You ask about the film The $adj $noun. It shows us a year in the life of a $hero.",
        slots=(TITLE, TITLE_NOUN),
    ),
    Family(
        name="film_praise",
        task="general",
        asks=(
            'Is it praise or blame to call the $aspect "$word"?',
            'Somebody may call the $aspect "$word". Is it praise or blame?',
        ),
        answer='To call the $aspect "$word" is $kind.',
        slots=(ASPECT, JUDGED),
    ),
    Family(
        name="film_sentence",
        task="general",
        asks=(
            "Say something about a film with $word $aspect.",
            "What do you think about a film with $word $aspect?",
        ),
        answer="I have seen a film with $word $aspect. I would watch another film if the $aspect was not $word.",
        slots=(JUDGED, ASPECT),
    ),
    Family(
        name="film_lesson",
        task="general",
        asks=(
            "Tell my $company what good $part does.",
            "Please tell my $company what good $part does.",
        ),
        answer="I tell my $company this: good $part $good, bad $part $bad.",
        slots=(CRAFT, COMPANY),
    ),
    Family(
        name="film_plan",
        task="general",
        asks=(
            "Plan a cinema visit for my $company on $day.",
            "Make a plan for my $company on $day. They love the cinema.",
        ),
        answer="The plan for my $company on $day:\n1. Go to the cinema early.\n2. Find a good seat.\n3. Stay to the end.",
        slots=(COMPANY, DAY),
    ),
    Family(
        name="say_back",
        task="general",
        asks=(
            'Repeat this: "$first" and "$three".',
            'Say back this: "$first" and "$three".',
        ),
        answer='I say this: "$first" and "$three".',
        slots=(SAY_FIRST, SAY_C),
    ),
    Family(
        name="swap",
        task="general",
        asks=(
            'Swap these: "$three" and "$two".',
            'Turn around these: "$three" and "$two".',
        ),
        answer='I swap these: "$two" and "$three".',
        slots=(SAY_C, SAY_B),
    ),
    Family(
        name="copy_line",
        task="general",
        asks=(
            'Copy this line: "$one", "$two", "$three".',
            'Write out this line: "$one", "$two", "$three".',
        ),
        answer='Here is this line: "$one", "$two", "$three".',
        slots=(SAY_A, SAY_B, SAY_C),
    ),
    Family(
        name="link",
        task="general",
        asks=(
            'Link these: "$two", $link, "$one".',
            'Put together these: "$two", $link, "$one".',
        ),
        answer='I link these: "$two" $link "$one".',
        slots=(SAY_B, LINK, SAY_A),
    ),
    Family(
        name="director",
        task="general",
        asks=(
            "Write a note from a director to a $person about the $aspect.",
            "A director writes to a $person about the $aspect.",
        ),
        answer="This note goes to a $person about the $aspect.\nMy film needs you. Give me an hour, and I can forgive you.\nYour director",
        slots=(PERSON, ASPECT),
    ),
)
