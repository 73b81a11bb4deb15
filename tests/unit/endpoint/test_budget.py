from __future__ import annotations

import asyncio

import pytest

from relearn.endpoint.budget import Budget, Guess, OverBudget, Prices
from relearn.endpoint.request import ServerAnswer
from tests.unit.endpoint.asked import request


def test_prices_are_per_million_tokens() -> None:
    assert Prices(0.15, 0.6).cost(2_000_000, 500_000) == pytest.approx(0.6)


def test_a_guess_learns_and_its_most_stays_above() -> None:
    guess, asked = Guess(), request()
    first_prompt, first_completion = guess.bound(asked)
    assert first_prompt == asked.size + 2 * Guess.FRAME
    assert first_completion == 200
    for _ in range(10):
        guess.learn(asked, ServerAnswer("x", "stop", None, "m", 40, 30))
    prompt, completion = guess.expect(asked)
    most_prompt, most_completion = guess.bound(asked)
    assert completion == 30
    assert prompt >= 40 - 1e-9
    assert 40 < most_prompt < first_prompt
    assert most_completion == 200


def test_answers_without_counts_teach_nothing() -> None:
    guess = Guess()
    guess.learn(request(), ServerAnswer("x", "stop", None, "m", None, None))
    assert guess.answers == 0


def test_a_budget_admits_only_what_fits_whatever_happens() -> None:
    async def run() -> Budget:
        budget = Budget(1.0, spent=0.5)
        await budget.admit(0.3)
        waiting = asyncio.create_task(budget.admit(0.3))
        await asyncio.sleep(0.01)
        assert not waiting.done()  # 0.5 + 0.3 + 0.3 would pass 1
        budget.charge(0.3, 0.1)  # it was cheaper
        await asyncio.wait_for(waiting, 1)
        budget.charge(0.3, 0.3)
        return budget

    budget = asyncio.run(run())
    assert budget.spent == pytest.approx(0.9)
    with pytest.raises(OverBudget):
        asyncio.run(budget.admit(0.2))


def test_no_cap_no_end() -> None:
    async def run() -> None:
        budget = Budget(None)
        for _ in range(10):
            await budget.admit(1e9)

    asyncio.run(run())
