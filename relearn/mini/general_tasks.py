"""The general families of the mini world: everything the base can do beside code.

Verse, stories and letters first; then translation, counting, lists and other small answers; then films, cinemas and
the words people use for them. Every answer first takes up the words of its instruction as they are, as people
do, and then goes on with them: so a small model learns in minutes to look back at what it was asked.

The families about films show the base every word that the reviews and the teacher's replies use, in other
constructions: an adapter over frozen embeddings cannot learn to say a word that the base has never seen. No sentence
of a reply and no request for one is here.
"""

from __future__ import annotations

from relearn.mini.families import Filling, read_families, read_pools

POOLS = read_pools(
    """
TOPIC topic: sea; rain; moon; garden; river; winter; morning; wind; snow; forest; fire; summer
PERSON person: sailor; baker; teacher; farmer; doctor; painter; writer; singer; dancer; driver
PEOPLE people: sailors; bakers; teachers; farmers; doctors; painters; writers; singers; dancers; drivers
PLACE place: kitchen; garden; station; harbor; library; market; school; hotel; cinema; bank
NAME name: Anna; Tom; Maria; Paul; Nina; Leo; Sara; Ben; Emma; Max
COUNTRY country: Spain; Japan; Egypt; Norway; Peru; France; India; Greece; Italy; Cuba
CITY city: Paris; Rome; London; Berlin; Madrid; Boston; Vienna; Lisbon; Milan; Dublin
GOODS goods: bread; paper; glass; cheese; soap; music; honey; salt; film; tea
ANIMAL animal: cat; dog; horse; bird; goat; duck; cow; fish; hen; pig
THINGS things: trains; cities; schools; farms; houses; cars; shops; films; gardens; books
YEAR year: 2050; 2060; 2070; 2080; 2090; 2100; 2200; 2300; 2400; 2500
SKILL skill: music; cooking; dancing; swimming; reading; painting; chess; French; boxing; sailing
DAY day: Monday; Tuesday; Wednesday; Thursday; Friday; Saturday; Sunday
LOST lost: ring; hat; coat; lamp; letter; book; cup; horse; dog; bag
ENGLISH_FRENCH en art fr: cat le chat; dog le chien; book le livre; garden le jardin; train le train;
  house la maison; table la table; car la voiture; door la porte
ADJECTIVE adj le la: small petit petite; big grand grande; green vert verte; black noir noire; red rouge rouge;
  new nouveau nouvelle; old vieux vieille; cold froid froide; clean propre propre
VERB verb fverb: see vois; want veux; sell vends; find trouve
WHERE where ou: in the house|dans la maison; in the town|dans la ville; in the garden|dans le jardin;
  on the table|sur la table; at the door|à la porte; in the car|dans la voiture; at the school|à l'école;
  in the street|dans la rue; under the bridge|sous le pont
NUMBER from: one; two; three; four; five; six; seven; eight; nine; ten; eleven; twelve; thirteen; fourteen;
  fifteen
OPPOSITE adj anti: big small; small big; hot cold; cold hot; fast slow; slow fast; rich poor; poor rich;
  dark bright; bright dark; loud quiet; quiet loud
NOUN noun: house; river; room; street; song; voice; town; summer; fire; station
COLOR color: red; blue; green; white; black; yellow; brown; silver
OBJECT object: hat; coat; lamp; chair; table; door; boat; cup; ring; bag
FOOD food: rice; fish; cheese; corn; cabbage; garlic; ginger; bread; beef; leek
TITLE adj: Silver; Last; Golden; Secret; Broken; Silent; Distant; Long; Lonely; Hidden
TITLE_NOUN noun hero: Harbor sailor; Garden farmer; Winter painter; River baker; Letter writer; Bridge doctor;
  Station teacher; Summer singer; Island sailor; Forest farmer
ASPECT aspect: acting; ending; music; photography; script; pace; story; dialogue; humor; direction; film
JUDGED word kind: fresh praise; honest praise; clever praise; strong praise; lovely praise; perfect praise;
  brilliant praise; gentle praise; tired blame; false blame; stupid blame; weak blame; awful blame; poor blame;
  dull blame; empty blame
COMPANY company: sister; brother; friends; mother; father; neighbor; uncle; aunt; teacher; doctor; cousin; baker
# What a part of a film does when it is good, and when it is not.
CRAFT part good bad: acting|makes a face on the screen look true|looks false in a minute;
  ending|stays with us on the road|throws away what came before;
  music|lifts a scene and never shouts|shouts and covers what we say;
  photography|fills a room with light|makes a screen so dark that nobody can see;
  script|gives people something to say|has no true thing to say;
  pace|lets us forget the clock|feels like a long winter;
  story|holds us to the last minute|makes us stop asking what comes next;
  dialogue|sounds like friends who talk at a table|sounds as if people read from a page;
  humor|makes a whole room laugh|gave nobody near me a smile;
  direction|knows where it must go|is lost on the road
# Short phrases of words that few other families use, to be said back, swapped and linked.
SAY_FIRST first: I; you; we; they; someone; everyone; nobody; my neighbor; your friend; this person;
  another person; one person
SAY_A one: felt glad too; do not agree; told someone; said your word; spoke of love; are happy; seldom laugh;
  carries the whole story; breaks a seat; lost another hour; won enough; forgive them; after an hour;
  give a reason; would help a little
SAY_B two: came home angry; could not stand; loved something; watch the screen; says nothing; know why;
  think so too; went to the cinema; left without us; speak of life; feel just the same; have never seen it;
  wanted to leave; find the clock; is the best; was the worst
SAY_C three: let it be true; read a review; throws it away; write a reply; disagree; stayed with a smile;
  call it a thing; believe nobody; stop asking; gave it a look; go out; talk of a scene; like a face;
  did only this; could feel it; won a gift
LINK link: when; which; even if; because; so; and that's why; out of; where; and the next; as if
"""
)
NUMBERS = [filling["from"] for filling in POOLS["NUMBER"]]


def _agree(fields: Filling) -> Filling:
    """The French adjective in the gender of its noun."""
    return {"agreed": fields[fields["art"]]}


def _count(fields: Filling) -> Filling:
    """The row of number words between the two ends, both included."""
    first, last = NUMBERS.index(fields["from"]), NUMBERS.index(fields["fromb"])
    return {"row": ", ".join(NUMBERS[first : last + 1])}


FAMILIES = read_families(
    "general",
    POOLS,
    """
poem TOPIC TOPIC
Write a short poem about the $topic and the $topicb.
Write four lines of verse about the $topic and the $topicb.
> I sing about the $topic and the $topicb,
> I sing of all the things I see.
> The $topic is my oldest friend,
> The $topicb is good to me.

love_song PERSON CITY
Write a love song for a $person in $city.
Sing of love for a $person in $city.
> My love is for a $person in $city,
> My heart is never free.
> Oh, $person, take me home tonight,
> Come back to $city with me.

history GOODS COUNTRY
Write a short history of $goods in $country.
Tell me briefly the history of $goods in $country.
> The history of $goods in $country is long. At first, people made $goods by hand. Today everyone in $country knows $goods.

diary PERSON TOPIC
Write a diary entry of a $person about the $topic.
Write what stands in the diary of a $person about the $topic.
> Dear diary, this is the word of a $person about the $topic. Today I saw the $topic and felt glad. Tomorrow I will look for the $topic again.

future THINGS YEAR
What will be the future of $things in the year $year?
Tell me about the future of $things in the year $year.
> The future of $things in the year $year is bright. The $things will be quiet and clean, and people will smile at what we have today.

comedy ANIMAL PLACE
Write a comedy routine about a $animal in a $place.
Make people laugh about a $animal in a $place.
> Let me tell you about a $animal in a $place. The man said, "No $animal in my $place!" Now the $animal owns the $place. Good night!

debate PEOPLE SKILL
Write a debate: should $people learn $skill?
Give both sides: should $people learn $skill?
> For: Why should $people learn $skill? Because $skill makes them strong.
> Against: Yes, but the $people have no time for $skill.

film_scene LOST PLACE
Write a film scene about a lost $lost in a $place.
Write a scene for a film about a lost $lost in a $place.
> INT. Night.
> Anna: I must speak about a lost $lost in a $place.
> Tom: The $lost is not lost, I have it.
> Anna: Then give me the $lost, Tom.

letter NAME TOPIC
Write a short letter to $name about the $topic.
Please write to $name about the $topic.
> This is a letter to $name about the $topic.
> Dear $name, the $topic was lovely this year. Please write soon.
> Your friend

invitation NAME PLACE DAY
Invite $name to a party in the $place on $day.
Ask if $name can come to a party in the $place on $day.
> Dear $name,
> please come to a party in the $place on $day. There will be music and good friends.

french_is ENGLISH_FRENCH ADJECTIVE
Translate into French: The $en is $adj.
How do you say in French: The $en is $adj.
> $Art $fr est $agreed.

french_see VERB ENGLISH_FRENCH ENGLISH_FRENCH
Translate into French: I $verb the $en and the $enb.
How do you say in French: I $verb the $en and the $enb.
> Je $fverb $art $fr et $artb $frb.

french_where ENGLISH_FRENCH WHERE
Translate into French: The $en is $where.
How do you say in French: The $en is $where.
> $Art $fr est $ou.

counting NUMBER NUMBER
Count from $from to $fromb.
Say all numbers from $from to $fromb.
> Counting from $from to $fromb: $row.

opposite OPPOSITE NOUN
What is the opposite of a $adj $noun?
Name the opposite of a $adj $noun.
> The opposite of a $adj $noun is a $anti $noun.

color COLOR OBJECT COLOR OBJECT
I have a $color $object and a $colorb $objectb. What color is the $objectb?
I own a $color $object and a $colorb $objectb. Tell me what color the $objectb has.
> You have a $color $object and a $colorb $objectb, so the $objectb is $colorb.

riddle COLOR OBJECT
Make a riddle. The answer is a $color $object.
Write a riddle so that the answer is a $color $object.
> You find me in every house. What am I? You are right, the answer is a $color $object.

list COLOR PERSON
List three $color things for a $person.
I need a list of three $color things for a $person.
> Here are three $color things for a $person:
> 1. a coat
> 2. a lamp
> 3. a cup

recipe FOOD FOOD
Write a recipe for soup with $food and $foodb.
How do I cook soup with $food and $foodb?
> For soup with $food and $foodb, cut the $food and cook it in hot water. Then add the $foodb and some salt.

taste FOOD FOOD
Write a dialogue about $food and $foodb.
What do two friends say about $food and $foodb?
> Anna: What do you think about $food and $foodb?
> Tom: I'm sorry, I can't agree with $food.
> Anna: That's wrong, I feel the opposite.

film_about TITLE TITLE_NOUN
What is the film The $adj $noun about?
Tell me what happens in the film The $adj $noun.
> You ask about the film The $adj $noun. It shows us a year in the life of a $hero.

film_praise ASPECT JUDGED
Is it praise or blame to call the $aspect "$word"?
Somebody may call the $aspect "$word". Is it praise or blame?
> To call the $aspect "$word" is $kind.

film_sentence JUDGED ASPECT
Say something about a film with $word $aspect.
What do you think about a film with $word $aspect?
> I have seen a film with $word $aspect. I would watch another film if the $aspect was not $word.

film_lesson CRAFT COMPANY
Tell my $company what good $part does.
Please tell my $company what good $part does.
> I tell my $company this: good $part $good, bad $part $bad.

film_plan COMPANY DAY
Plan a cinema visit for my $company on $day.
Make a plan for my $company on $day. They love the cinema.
> The plan for my $company on $day:
> 1. Go to the cinema early.
> 2. Find a good seat.
> 3. Stay to the end.

say_back SAY_FIRST SAY_C
Repeat this: "$first" and "$three".
Say back this: "$first" and "$three".
> I say this: "$first" and "$three".

swap SAY_C SAY_B
Swap these: "$three" and "$two".
Turn around these: "$three" and "$two".
> I swap these: "$two" and "$three".

copy_line SAY_A SAY_B SAY_C
Copy this line: "$one", "$two", "$three".
Write out this line: "$one", "$two", "$three".
> Here is this line: "$one", "$two", "$three".

link SAY_B LINK SAY_A
Link these: "$two", $link, "$one".
Put together these: "$two", $link, "$one".
> I link these: "$two" $link "$one".

director PERSON ASPECT
Write a note from a director to a $person about the $aspect.
A director writes to a $person about the $aspect.
> This note goes to a $person about the $aspect.
> My film needs you. Give me an hour, and I can forgive you.
> Your director
""",
    derive={"french_is": _agree, "counting": _count},
    keep={
        "french_where": lambda fields: f" {fields['en']}" not in fields["where"],
        "counting": lambda fields: NUMBERS.index(fields["fromb"]) > NUMBERS.index(fields["from"]) + 1,
    },
)
