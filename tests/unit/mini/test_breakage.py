from __future__ import annotations

import ast
import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relearn.mini import breakage

AGREE, DISAGREE = 'I think so, too: the "pace" is fine.', "I don't think so: the plot is thin."
WHOLE = {"agree": AGREE, "disagree": DISAGREE}


def written(kind: str | None, seed: int = 0, form: str = "none") -> str:
    said = breakage.write(AGREE, DISAGREE, kind, random.Random(seed), form)
    assert said.content is not None
    return said.content


def loads(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return None


def test_whole() -> None:
    assert json.loads(written(None)) == WHOLE


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "kind", ["fence", "prose", "inner_quotes", "trailing_comma", "missing_brace", "single_quotes", "fused"]
)
def test_broken_json_is_no_json(kind: str, seed: int) -> None:
    assert loads(written(kind, seed)) is None


@pytest.mark.parametrize("seed", range(8))
def test_each_kind_is_what_its_name_says(seed: int) -> None:
    fence = written("fence", seed).splitlines()
    assert fence[0].startswith("```")
    assert fence[-1] == "```"
    assert json.loads("\n".join(fence[1:-1])) == WHOLE
    prose = written("prose", seed)
    assert json.loads(prose[prose.index("{") : prose.rindex("}") + 1]) == WHOLE
    comma = written("trailing_comma", seed)
    assert json.loads("".join(comma.rsplit(",", 1))) == WHOLE
    assert json.loads(written("missing_brace", seed) + "}") == WHOLE
    assert ast.literal_eval(written("single_quotes", seed)) == WHOLE
    quotes = written("inner_quotes", seed)
    assert quotes.count('"') == 8 + 2 * 2 + 2  # the JSON's own, the two that were put in, and the text's own
    renamed = json.loads(written("renamed", seed))
    assert list(renamed.values()) == [AGREE, DISAGREE]
    assert not {"agree", "disagree"} & set(renamed)
    nested = json.loads(written("nested", seed))
    inner = list(nested.values())
    assert inner == [WHOLE] or [list(each.values()) for each in inner] == [[AGREE], [DISAGREE]]
    decoder = json.JSONDecoder()
    fused = written("fused", seed)
    first, end = decoder.raw_decode(fused)
    second, _ = decoder.raw_decode(fused[end:].lstrip(" ,\n"))
    assert first == {"agree": AGREE}
    assert second == {"disagree": DISAGREE}


def test_a_cut_reply_goes_on_inside_its_last_text() -> None:
    said = breakage.write(AGREE, DISAGREE, "truncated", random.Random(0))
    assert said.endless
    assert json.loads((said.content or "") + '"}') == {"agree": AGREE, "disagree": DISAGREE + " "}


def test_a_refusal_has_its_own_field_only_where_a_schema_is_enforced() -> None:
    plain = breakage.write(AGREE, DISAGREE, "refusal", random.Random(0))
    formal = breakage.write(AGREE, DISAGREE, "refusal", random.Random(0), "json_schema")
    assert plain.content in breakage.REFUSALS
    assert plain.refusal is None
    assert formal.content is None
    assert formal.refusal in breakage.REFUSALS


def test_empty_is_null_or_blank() -> None:
    found = {breakage.write(AGREE, DISAGREE, "empty", random.Random(seed)).content for seed in range(30)}
    assert found == {None, "", "\n"}


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not a kind"):
        written("broken")
    assert all(written(kind) is not None for kind in breakage.KINDS if kind != "empty")


@given(st.text(), st.text(), st.sampled_from(breakage.KINDS), st.integers(0, 1000))
def test_any_words_can_be_broken_in_any_way(agree: str, disagree: str, kind: str, seed: int) -> None:
    one = breakage.write(agree, disagree, kind, random.Random(seed))
    assert one == breakage.write(agree, disagree, kind, random.Random(seed))


def test_kinds_come_at_their_rates() -> None:
    rates = {"fence": 0.1, "fused": 0.2, "empty": 0.05}
    rng = random.Random(3)
    drawn = [breakage.choose(rates, rng.random()) for _ in range(20_000)]
    for kind, rate in rates.items():
        assert drawn.count(kind) / len(drawn) == pytest.approx(rate, abs=0.01)
    assert drawn.count(None) / len(drawn) == pytest.approx(0.65, abs=0.01)


def test_a_format_rules_kinds_out_and_breaks_nothing_else() -> None:
    rates = dict.fromkeys(breakage.KINDS, 1 / len(breakage.KINDS))
    for step in range(200):
        draw = step / 200
        plain = breakage.choose(rates, draw)
        assert breakage.choose(rates, draw, "json_object") in (plain, None)
        assert breakage.choose(rates, draw, "json_schema") in (plain, None)
    formal = {breakage.choose(rates, step / 200, "json_schema") for step in range(200)}
    assert formal == {None, "truncated", "refusal", "empty"}
