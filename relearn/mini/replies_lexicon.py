"""The embedded teacher's lexicons: aspects of a film, words of praise and blame with weights, negations."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Aspect:
    """A thing that reviews talk about: its name in a reply, the words that mean it, a reason to praise or blame it."""

    name: str
    words: frozenset[str]
    praise: str
    blame: str


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _aspects(table: str) -> dict[str, Aspect]:
    rows = [[cell.strip() for cell in line.split("|")] for line in table.strip().splitlines()]
    return {key: Aspect(f"the {key}", _words(words), praise, blame) for key, words, praise, blame in rows}


ASPECTS: dict[str, Aspect] = _aspects(
    """
acting | acting actor actors actress actresses performance performances performer cast acted role roles portrayal | It makes every face on the screen look true | Every face looks false from the first minute
ending | ending endings finale climax twist conclusion | It stays with you on the road home | It throws away all that came before
music | music score soundtrack song songs singing musical tune | It lifts every scene and never shouts | It shouts, and it covers what people say
photography | photography cinematography camera visuals visual scenery lighting shots camerawork photographed effects cgi | It fills every room with light | The screen is so dark that you see nothing
script | script screenplay writing writers writer written scripted | It gives every person something to say | Nobody in it has one true thing to say
pace | pace pacing paced slow slowly dragged drags length | You never look at the clock with it | An hour of it feels like a long winter
story | story plot storyline narrative tale premise stories | It holds you from the first minute to the last | After an hour you stop asking what comes next
dialogue | dialogue dialogues dialog lines conversation conversations | It sounds like friends who talk at a table | People speak as if they read from a page
humor | humor humour comedy jokes joke gags comic comedic laughs laugh laughing | It makes the whole room laugh | Nobody near me gave it one smile
direction | direction director directed directing directors filmmaker directorial | It knows where every scene must go | It is lost after one hour on the road
whole film | film movie | It gives you something to take home | Nobody will speak of it next year
"""
)
THE_FILM = ASPECTS.pop("whole film")

# Reviewers use more kind words than unkind ones, whatever they think: what a hundred words add on average.
KINDNESS = 1.0
NEGATIONS = _words("not no never nor without hardly barely neither cannot nothing lacks lacking nobody isnt wasnt")
# The word just before: how much it raises or lowers what follows.
TURNS: dict[str, float] = {
    "very": 1.3, "so": 1.2, "really": 1.3, "truly": 1.4, "absolutely": 1.5, "extremely": 1.4, "utterly": 1.5,
    "totally": 1.4, "completely": 1.4, "incredibly": 1.4, "quite": 1.1, "pretty": 0.8, "somewhat": 0.6,
    "fairly": 0.7, "little": 0.4, "almost": 0.7, "mildly": 0.5,
}  # fmt: skip
# Phrases that settle a review.
SCORES: dict[str, float] = {
    "waste of time": -5, "waste your time": -5, "waste of money": -5, "avoid this": -5, "stay away": -4,
    "don't bother": -5, "do not bother": -5, "highly recommend": 5, "must see": 4, "must-see": 4,
    "well worth": 4, "worth seeing": 3, "worth watching": 3, "one of the best": 4, "one of the worst": -6,
    "could have been": -2, "should have been": -2, "supposed to be": -2, "at least": -0.5, "skip this": -5,
    "fell asleep": -4, "walked out": -4, "turned it off": -4, "my favorite": 4, "my favourite": 4,
    "well done": 3, "thumbs up": 4, "thumbs down": -4, "not worth": -5, "money back": -4, "i loved": 3,
    "hold up": 1, "ten stars": 5, "two hours": -1, "for no reason": -2, "make any sense": -2, "makes no sense": -3, "not stand": -4, "can't stand": -4,
    "couldn't stand": -4, "stay at home": -3, "not enough": -1,
}  # fmt: skip


def _weights(**groups: str) -> dict[str, float]:
    scale = {"best": 3.0, "good": 2.0, "fair": 1.0, "weak": -1.0, "bad": -2.0, "worst": -3.5}
    return {word: scale[name] for name, words in groups.items() for word in words.split()}


WEIGHTS: dict[str, float] = _weights(
    best="excellent perfect perfectly brilliant superb masterpiece amazing fantastic outstanding terrific "
    "magnificent marvelous unforgettable flawless stunning gem magical delightful superbly "
    "brilliantly wonderfully breathtaking masterful captivating phenomenal exquisite favorite "
    "favourite refreshing beautifully gripping",
    good="great loved beautiful lovely touching moving enjoyed enjoyable hilarious powerful memorable "
    "charming clever honest fresh strong warm gentle rich brave fun entertaining fascinating "
    "recommend recommended haunting impressive impressed engaging compelling heartwarming witty "
    "delight subtle talented classic poignant gorgeous incredible underrated solid greatest timeless "
    "genius remarkable thrilling inspiring elegant sincere enchanting tender love loves wonderful best "
    "happy awesome superior surprisingly appreciate appreciated treat bright gift",
    fair="good nice well fine enjoy interesting funny likes sweet realistic believable emotional liked "
    "highly better laugh laughed exciting intense intelligent worth effective unique special beauty "
    "perfection today friendship young definitely always both life heart world simple different true "
    "also smile sad family brings rare human tears suspense tension atmosphere",
    weak="bad cheap unfortunately problem problems cliche cliches cliched predictable slow wrong unless "
    "less mess trying attempt attempts instead fake confusing thin long flat cold hard hype budget "
    "maybe nothing minutes apparently least script reason obvious plain poor weird nonsense money "
    "random plot idea even why sorry angry drag drags loud fails bother guess sequel annoyed dumb",
    bad="false boring dull poorly stupid lame ridiculous weak lazy empty silly tired disappointing "
    "disappointed disappointment annoying unfunny pointless pathetic mediocre failed fail forgettable "
    "bland tedious worse avoid badly uninteresting terribly lacks shallow clumsy wooden laughable "
    "hollow unconvincing implausible incoherent cheesy amateurish dreadful bored unbelievable "
    "overrated irritating pretentious contrived inept senseless headache asleep embarrassing lousy "
    "ruined insult insulting trite cringe muddled crappy idiotic rubbish",
    worst="worst awful terrible horrible waste wasted crap garbage atrocious abysmal unwatchable horrendous "
    "dreck appalling horribly awfully excruciating worthless stinker turkey trash drivel",
)
# Words that read well in quotes, as something the review says of its film.
QUOTABLE = _words(
    "excellent wonderful perfect brilliant superb amazing fantastic outstanding terrific magnificent unforgettable "
    "flawless stunning magical delightful breathtaking captivating refreshing gripping great beautiful lovely "
    "touching moving enjoyable hilarious powerful memorable charming clever honest fresh strong warm gentle rich brave "
    "entertaining fascinating haunting impressive engaging compelling witty subtle poignant gorgeous incredible "
    "underrated solid remarkable thrilling inspiring sincere good nice funny sweet interesting realistic exciting "
    "bad cheap predictable slow confusing thin flat cold poor boring dull stupid lame ridiculous weak lazy empty silly "
    "tired disappointing annoying unfunny pointless pathetic mediocre forgettable bland tedious shallow clumsy wooden "
    "laughable hollow unconvincing implausible cheesy amateurish dreadful overrated irritating pretentious contrived "
    "worst awful terrible horrible atrocious unwatchable appalling"
)
