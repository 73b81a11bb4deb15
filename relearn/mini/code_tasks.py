"""The code families of the mini world: Python functions and classes, each with tests that the reference passes."""

from __future__ import annotations

from relearn.mini.families import read_families, read_pools

POOLS = read_pools(
    """
NUMBER word digit: two 2; three 3; four 4; five 5; six 6; seven 7; eight 8; nine 9; ten 10; eleven 11; twelve 12
AMOUNT amount: price; score; age; size; weight; total; height
LIMIT limit: limit; stop; end; top; total; size; count
PAIR more less: above below; high low; big small; long short; late early; rich poor
LIST many one: scores score; prices price; ages age; sizes size; totals total; weights weight; numbers number
TEXT text: text; word; name; title; line; label; city; note
WORDS many one: names name; words word; titles title; lines line; labels label; cities city; notes note
LETTER letter: a; e; i; o; s; t; n; r; l; m
GREETING greet: hello; welcome; thanks; goodbye; sorry; bravo; hi; bye
SIGN sign mark: dash -; star *; plus +; comma ,; dot .; slash /; colon :; tilde ~; hash #
METHOD does method: in capitals|upper; in small letters|lower; as a title|title; without spaces around it|strip;
  with a capital first|capitalize; with the case turned|swapcase
GUEST guest: name; friend; guest; neighbor; child; teacher; doctor; user
KEY field: name; price; color; size; title; city; age; weight
THING thing: book; car; house; boat; song; shop; film; user
"""
)

FAMILIES = read_families(
    "code",
    POOLS,
    """
add NUMBER AMOUNT
def add_$word($amount): returns $amount plus $digit
    result = $amount + $digit
    return result
assert add_$word(1) == 1 + $digit
assert add_$word(-4) == $digit - 4

subtract NUMBER AMOUNT
def subtract_$word($amount): returns $amount minus $digit
    result = $amount - $digit
    return result
assert subtract_$word(20) == 20 - $digit
assert subtract_$word(0) == -$digit

multiply NUMBER AMOUNT
def multiply_by_$word($amount): returns $amount times $digit
    result = $amount * $digit
    return result
assert multiply_by_$word(3) == 3 * $digit
assert multiply_by_$word(0) == 0

divide NUMBER AMOUNT
def divide_by_$word($amount): returns $amount divided by $digit, without the rest
    result = $amount // $digit
    return result
assert divide_by_$word(100) == 100 // $digit
assert divide_by_$word(1) == 0

remainder NUMBER AMOUNT
def rest_of_$word($amount): returns the rest of $amount divided by $digit
    rest = $amount % $digit
    return rest
assert rest_of_$word(100) == 100 % $digit
assert rest_of_$word($digit) == 0

multiple NUMBER AMOUNT
def is_multiple_of_$word($amount): checks if $amount is a multiple of $digit
    return $amount % $digit == 0
assert is_multiple_of_$word($digit * 3) is True
assert is_multiple_of_$word($digit + 1) is False

at_most NUMBER AMOUNT
def at_most_$word($amount): returns $amount, but never more than $digit
    if $amount > $digit:
        $amount = $digit
    return $amount
assert at_most_$word(50) == $digit
assert at_most_$word(1) == 1

at_least NUMBER AMOUNT
def at_least_$word($amount): returns $amount, but never less than $digit
    if $amount < $digit:
        $amount = $digit
    return $amount
assert at_least_$word(50) == 50
assert at_least_$word(1) == $digit

power NUMBER AMOUNT
def power_$word($amount): multiplies $amount with itself $digit times in a loop
    result = 1
    for step in range($digit):
        result = result * $amount
    return result
assert power_$word(2) == 2 ** $digit
assert power_$word(1) == 1

steps NUMBER LIMIT
def steps_of_$word($limit): lists the numbers from 0 to $limit in steps of $digit
    steps = []
    for number in range(0, $limit, $digit):
        steps.append(number)
    return steps
assert steps_of_$word($digit + 1) == [0, $digit]
assert steps_of_$word(0) == []

between NUMBER NUMBER
def between_${word}_and_$wordb(number): checks if number is from $digit to $digitb
    return $digit <= number <= $digitb
assert between_${word}_and_$wordb($digit) is True
assert between_${word}_and_$wordb($digitb + 1) is False

add_then_multiply NUMBER NUMBER
def add_${word}_times_$wordb(number): adds $digit to number and then multiplies by $digitb
    result = number + $digit
    result = result * $digitb
    return result
assert add_${word}_times_$wordb(1) == (1 + $digit) * $digitb
assert add_${word}_times_$wordb(-$digit) == 0

table NUMBER LIMIT
def table_of_$word($limit): lists the first $limit multiples of $digit
    table = []
    for step in range(1, $limit + 1):
        table.append(step * $digit)
    return table
assert table_of_$word(2) == [$digit, $digit * 2]
assert table_of_$word(0) == []

distance NUMBER AMOUNT
def distance_to_$word($amount): returns how far $amount is from $digit
    gap = $amount - $digit
    return abs(gap)
assert distance_to_$word(0) == $digit
assert distance_to_$word($digit) == 0

compare PAIR NUMBER
def ${more}_or_$less(number): returns "$more" when number is over $digit, else "$less"
    if number > $digit:
        return "$more"
    return "$less"
assert ${more}_or_$less(99) == "$more"
assert ${more}_or_$less($digit) == "$less"

keep_above NUMBER LIST
def keep_above_$word($many): keeps the $many above $digit
    return [$one for $one in $many if $one > $digit]
assert keep_above_$word([1, $digit, $digit + 1, 40]) == [$digit + 1, 40]
assert keep_above_$word([]) == []

keep_below NUMBER LIST
def keep_below_$word($many): keeps the $many below $digit
    return [$one for $one in $many if $one < $digit]
assert keep_below_$word([1, $digit, 40]) == [1]
assert keep_below_$word([50]) == []

count_above NUMBER LIST
def count_above_$word($many): counts the $many above $digit
    count = 0
    for $one in $many:
        if $one > $digit:
            count += 1
    return count
assert count_above_$word([1, $digit, 30, 40]) == 2
assert count_above_$word([]) == 0

sum_below NUMBER LIST
def sum_below_$word($many): adds up the $many below $digit
    result = 0
    for $one in $many:
        if $one < $digit:
            result += $one
    return result
assert sum_below_$word([1, 0, 1, $digit]) == 2
assert sum_below_$word([]) == 0

sum_from NUMBER LIST
def sum_from_$word($many): adds up the $many, starting at $digit
    result = $digit
    for $one in $many:
        result += $one
    return result
assert sum_from_$word([1, 2]) == $digit + 3
assert sum_from_$word([]) == $digit

skip_first NUMBER LIST
def skip_first_$word($many): leaves out the first $digit $many
    rest = $many[$digit:]
    return rest
assert skip_first_$word(list(range(20))) == list(range($digit, 20))

take_first NUMBER LIST
def take_first_$word($many): returns the first $digit $many
    first = $many[:$digit]
    return first
assert take_first_$word(list(range(20))) == list(range($digit))
assert take_first_$word([1]) == [1]

take_last NUMBER LIST
def take_last_$word($many): returns the last $digit $many
    last = $many[-$digit:]
    return last
assert take_last_$word(list(range(20))) == list(range(20 - $digit, 20))
assert take_last_$word([1]) == [1]

scale NUMBER LIST
def scale_by_$word($many): multiplies all $many by $digit
    result = []
    for $one in $many:
        result.append($one * $digit)
    return result
assert scale_by_$word([1, 2]) == [$digit, 2 * $digit]
assert scale_by_$word([]) == []

max_or NUMBER LIST
def max_or_$word($many): returns the largest of the $many, or $digit when there are none
    if not $many:
        return $digit
    return max($many)
assert max_or_$word([]) == $digit
assert max_or_$word([1, 30, 2]) == 30

min_or NUMBER LIST
def min_or_$word($many): returns the smallest of the $many, or $digit when there are none
    if not $many:
        return $digit
    return min($many)
assert min_or_$word([]) == $digit
assert min_or_$word([1, 30, 2]) == 1

position NUMBER LIST
def position_of_$word($many): returns the place of $digit in $many, or -1
    for place, $one in enumerate($many):
        if $one == $digit:
            return place
    return -1
assert position_of_$word([1, $digit]) == 1
assert position_of_$word([1]) == -1

remove NUMBER LIST
def remove_$word($many): removes every $digit from $many
    return [$one for $one in $many if $one != $digit]
assert remove_$word([1, $digit, 40, $digit]) == [1, 40]
assert remove_$word([]) == []

append NUMBER LIST
def append_$word($many): adds $digit at the end of $many
    result = $many + [$digit]
    return result
assert append_$word([1]) == [1, $digit]
assert append_$word([]) == [$digit]

all_above NUMBER LIST
def all_above_$word($many): checks if all $many are above $digit
    for $one in $many:
        if $one <= $digit:
            return False
    return True
assert all_above_$word([20, 30]) is True
assert all_above_$word([20, 1]) is False

repeat NUMBER TEXT
def repeat_$word($text): repeats $text $digit times
    result = $text * $digit
    return result
assert repeat_$word("ab") == "ab" * $digit
assert repeat_$word("") == ""

first_letters NUMBER TEXT
def first_${word}_letters($text): returns the first $digit letters of $text
    start = $text[:$digit]
    return start
assert first_${word}_letters("abcdefghijklmnop") == "abcdefghijklmnop"[:$digit]
assert first_${word}_letters("a") == "a"

count_letter LETTER TEXT
def count_$letter($text): counts how often "$letter" is in $text
    count = 0
    for char in $text:
        if char == "$letter":
            count += 1
    return count
assert count_$letter("x$letter$letter") == 2
assert count_$letter("") == 0

drop_letter LETTER TEXT
def drop_$letter($text): returns $text without the letter "$letter"
    result = $text.replace("$letter", "")
    return result
assert drop_$letter("x$letter$letter") == "x"
assert drop_$letter("xy") == "xy"

swap_letter LETTER LETTER
def ${letter}_to_$letterb(text): replaces "$letter" by "$letterb" in text
    result = text.replace("$letter", "$letterb")
    return result
assert ${letter}_to_$letterb("x$letter") == "x$letterb"
assert ${letter}_to_$letterb("x") == "x"

starts_with LETTER TEXT
def starts_with_$letter($text): checks if $text starts with "$letter"
    return $text.startswith("$letter")
assert starts_with_$letter("${letter}xy") is True
assert starts_with_$letter("xy") is False

words_with WORDS LETTER
def ${many}_with_$letter($many): keeps the $many that have the letter "$letter"
    return [$one for $one in $many if "$letter" in $one]
assert ${many}_with_$letter(["x$letter", "x"]) == ["x$letter"]
assert ${many}_with_$letter([]) == []

longer_than NUMBER WORDS
def longer_than_$word($many): keeps the $many with more than $digit letters
    result = []
    for $one in $many:
        if len($one) > $digit:
            result.append($one)
    return result
assert longer_than_$word(["a", "b" * 13]) == ["b" * 13]
assert longer_than_$word([]) == []

greet GREETING GUEST
def say_$greet($guest): returns "$Greet" and the $guest, with an f-string
    message = f"$Greet, {$guest}!"
    return message
assert say_$greet("Ada") == "$Greet, Ada!"
assert say_$greet("Bo").endswith("Bo!")

join SIGN WORDS
def join_with_$sign($many): joins the $many with "$mark"
    result = "$mark".join($many)
    return result
assert join_with_$sign(["a", "b"]) == "a${mark}b"
assert join_with_$sign([]) == ""

split SIGN TEXT
def split_at_$sign($text): splits $text at every "$mark"
    parts = $text.split("$mark")
    return parts
assert split_at_$sign("a${mark}b") == ["a", "b"]
assert split_at_$sign("ab") == ["ab"]

change_case METHOD TEXT
def ${method}_$text($text): returns $text $does
    result = $text.$method()
    return result
assert ${method}_$text(" aB") == " aB".$method()
assert ${method}_$text("") == ""

get_field KEY THING
def get_$field($thing): returns the $field of a $thing, which is a dictionary
    $field = $thing["$field"]
    return $field
assert get_$field({"$field": 3}) == 3
assert get_$field({"$field": "x", "other": 1}) == "x"

get_or_default KEY NUMBER
def ${field}_or_$word(data): returns the "$field" in data, or $digit when it is missing
    result = data.get("$field", $digit)
    return result
assert ${field}_or_$word({"$field": 1}) == 1
assert ${field}_or_$word({}) == $digit

set_field KEY THING
def set_$field($thing, $field): puts the $field into a $thing, which is a dictionary
    $thing["$field"] = $field
    return $thing
assert set_$field({}, 3) == {"$field": 3}
assert set_$field({"a": 1}, 2) == {"a": 1, "$field": 2}

sum_field KEY THING
def sum_${field}(${thing}s): adds up the $field of all ${thing}s
    result = 0
    for $thing in ${thing}s:
        result += $thing["$field"]
    return result
assert sum_$field([{"$field": 2}, {"$field": 3}]) == 5
assert sum_$field([]) == 0

list_field KEY THING
def list_$field(${thing}s): lists the $field of each $thing
    return [$thing["$field"] for $thing in ${thing}s]
assert list_$field([{"$field": 2}, {"$field": 3}]) == [2, 3]
assert list_$field([]) == []

make_pair KEY KEY
def make_${field}_and_$fieldb($field, $fieldb): makes a dictionary of $field and $fieldb
    data = {"$field": $field, "$fieldb": $fieldb}
    return data
assert make_${field}_and_$fieldb(1, 2) == {"$field": 1, "$fieldb": 2}

class_field THING KEY
Write a Python class $Thing with one attribute $field.
Define $Thing in Python, a class with one attribute $field.
> class $Thing:
>     def __init__(self, $field):
>         self.$field = $field
assert $Thing(3).$field == 3
assert $Thing("x").$field == "x"

class_counter THING NUMBER
Write a Python class $Thing whose count starts at $digit, with a method add.
Define $Thing in Python, a class whose count starts at $digit, with a method add.
> class $Thing:
>     def __init__(self):
>         self.count = $digit
>
>     def add(self):
>         self.count += 1
assert $Thing().count == $digit
assert [one := $Thing(), one.add(), one.count][2] == $digit + 1
""",
    keep={"between": lambda fields: int(fields["digit"]) < int(fields["digitb"])},
)
