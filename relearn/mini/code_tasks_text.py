"""Code families of the mini world: letters, words and sentences."""

from __future__ import annotations

from relearn.mini.code_tasks_numbers import NUMBER
from relearn.mini.families import Family, function, numbered, pool

TEXT = pool("text", "text; word; name; title; line; label; city; note")
WORDS = pool(
    "many one", "names name; words word; titles title; lines line; labels label; cities city; notes note"
)
LETTER = pool("letter", "a; e; i; o; s; t; n; r; l; m")
GREETING = pool("greet", "hello; welcome; thanks; goodbye; sorry; bravo; hi; bye")
SIGN = pool("sign mark", "dash -; star *; plus +; comma ,; dot .; slash /; colon :; tilde ~; hash #")
METHOD = pool(
    "does method",
    "in capitals|upper; in small letters|lower; as a title|title; without spaces around it|strip; "
    "with a capital first|capitalize; with the case turned|swapcase",
)
GUEST = pool("guest", "name; friend; guest; neighbor; child; teacher; doctor; user")

_SECOND = numbered(LETTER, "b")

FAMILIES: tuple[Family, ...] = (
    function(
        "repeat",
        "repeat_$word($text)",
        "repeats $text $digit times",
        "result = $text * $digit\nreturn result",
        (NUMBER, TEXT),
        ('assert repeat_$word("ab") == "ab" * $digit', 'assert repeat_$word("") == ""'),
    ),
    function(
        "first_letters",
        "first_${word}_letters($text)",
        "returns the first $digit letters of $text",
        "start = $text[:$digit]\nreturn start",
        (NUMBER, TEXT),
        (
            'assert first_${word}_letters("abcdefghijklmnop") == "abcdefghijklmnop"[:$digit]',
            'assert first_${word}_letters("a") == "a"',
        ),
    ),
    function(
        "count_letter",
        "count_$letter($text)",
        'counts how often "$letter" is in $text',
        'count = 0\nfor char in $text:\n    if char == "$letter":\n        count += 1\nreturn count',
        (LETTER, TEXT),
        ('assert count_$letter("x$letter$letter") == 2', 'assert count_$letter("") == 0'),
    ),
    function(
        "drop_letter",
        "drop_$letter($text)",
        'returns $text without the letter "$letter"',
        'result = $text.replace("$letter", "")\nreturn result',
        (LETTER, TEXT),
        ('assert drop_$letter("x$letter$letter") == "x"', 'assert drop_$letter("xy") == "xy"'),
    ),
    function(
        "swap_letter",
        "${letter}_to_$letterb(text)",
        'replaces "$letter" by "$letterb" in text',
        'result = text.replace("$letter", "$letterb")\nreturn result',
        (LETTER, _SECOND),
        (
            'assert ${letter}_to_$letterb("x$letter") == "x$letterb"',
            'assert ${letter}_to_$letterb("x") == "x"',
        ),
    ),
    function(
        "starts_with",
        "starts_with_$letter($text)",
        'checks if $text starts with "$letter"',
        'return $text.startswith("$letter")',
        (LETTER, TEXT),
        ('assert starts_with_$letter("${letter}xy") is True', 'assert starts_with_$letter("xy") is False'),
    ),
    function(
        "words_with",
        "${many}_with_$letter($many)",
        'keeps the $many that have the letter "$letter"',
        'return [$one for $one in $many if "$letter" in $one]',
        (WORDS, LETTER),
        (
            'assert ${many}_with_$letter(["x$letter", "x"]) == ["x$letter"]',
            "assert ${many}_with_$letter([]) == []",
        ),
    ),
    function(
        "longer_than",
        "longer_than_$word($many)",
        "keeps the $many with more than $digit letters",
        "result = []\nfor $one in $many:\n    if len($one) > $digit:\n        result.append($one)\nreturn result",
        (NUMBER, WORDS),
        ('assert longer_than_$word(["a", "b" * 13]) == ["b" * 13]', "assert longer_than_$word([]) == []"),
    ),
    function(
        "greet",
        "say_$greet($guest)",
        'returns "$Greet" and the $guest, with an f-string',
        'message = f"$Greet, {$guest}!"\nreturn message',
        (GREETING, GUEST),
        ('assert say_$greet("Ada") == "$Greet, Ada!"', 'assert say_$greet("Bo").endswith("Bo!")'),
    ),
    function(
        "join",
        "join_with_$sign($many)",
        'joins the $many with "$mark"',
        'result = "$mark".join($many)\nreturn result',
        (SIGN, WORDS),
        ('assert join_with_$sign(["a", "b"]) == "a${mark}b"', 'assert join_with_$sign([]) == ""'),
    ),
    function(
        "split",
        "split_at_$sign($text)",
        'splits $text at every "$mark"',
        'parts = $text.split("$mark")\nreturn parts',
        (SIGN, TEXT),
        ('assert split_at_$sign("a${mark}b") == ["a", "b"]', 'assert split_at_$sign("ab") == ["ab"]'),
    ),
    function(
        "change_case",
        "${method}_$text($text)",
        "returns $text $does",
        "result = $text.$method()\nreturn result",
        (METHOD, TEXT),
        ('assert ${method}_$text(" aB") == " aB".$method()', 'assert ${method}_$text("") == ""'),
    ),
)
