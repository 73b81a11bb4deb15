"""At equal new skill, methods on synthetic curves lose what they truly lose, and intervals hold as often as they say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relearn.decoding.items import CurveRow
from relearn.errors import InputError
from relearn.evaluation.curve import Curve, read_curve
from relearn.evaluation.equal_skill import AtEqualSkill, compare_at_equal_skill
from relearn.evaluation.roles import ScoredTask
from relearn.statistics.scores import Floats
from relearn.statistics.significance import holm

TASKS = [ScoredTask("old", "watched", ("bpb",)), ScoredTask("new", "new", ("bpb",))]
USUAL = [number / 8 for number in range(13)]
FACTORS = np.array(USUAL)
Shape = Callable[[Floats], Floats]


def saturate(whole: float, speed: float = 3.0) -> Shape:
    """A new task's gain: quick at first."""
    return lambda factors: -whole * (1 - np.exp(-speed * factors))


def bend(whole: float, power: float = 2.5) -> Shape:
    """An old task's loss: slow at first."""
    return lambda factors: whole * factors**power


def rows(
    task: str, change: Shape, seed: int = 0, clusters: int = 40, noise: float = 0.0, own: int | None = None
) -> list[CurveRow]:
    """Rows of a task in clusters of three, whose base takes 1.2 bits a byte. `noise` is how much the clusters differ in their
    change, under every method; with `own`, as much again under this one."""
    name = sum(map(ord, task))
    generator = np.random.default_rng([seed, name])
    starts = generator.normal(1.2, 0.2, clusters)
    parts = 1 + noise * generator.normal(size=clusters)
    if own is not None:
        parts += noise * np.random.default_rng([seed, name, own]).normal(size=clusters)
    found = []
    for cluster in range(clusters):
        for number in range(3):
            size = int(generator.integers(20, 200))
            bits = (starts[cluster] + parts[cluster] * change(FACTORS)) * size
            identity, nll = f"{task}-{cluster}-{number}", (bits * np.log(2)).tolist()
            found.append(CurveRow(id=identity, task=task, group=str(cluster), bytes=size, factors=USUAL, nll=nll))
    return found


def curve(new: Shape, old: Shape, **how: Any) -> Curve:
    return read_curve(rows("new", new, **how) + rows("old", old, **how), "curve")


def truth(plain: Shape, new: Shape, old: Shape) -> tuple[float, float]:
    """(the factor, the loss) at 90% of plain's gain, on curves that are linear between the factors."""
    target = -0.9 * float(plain(np.array([1.0]))[0])
    gains = -new(FACTORS)
    fine = np.linspace(0, 1.5, 30_001)
    at = fine[(np.interp(fine, FACTORS, gains) >= target).argmax()]
    return float(at), float(np.interp(at, FACTORS, old(FACTORS)))


def compare(resamples: int = 300, **methods: Curve) -> dict[str, AtEqualSkill]:
    found = compare_at_equal_skill({name: {7: one} for name, one in methods.items()}, "plain", TASKS, resamples, 5)
    return {one.method: one for one in found}


PLAIN = (saturate(1.0), bend(0.5))


def test_losses_on_known_curves_are_the_true_ones() -> None:
    gentle = (saturate(0.95), bend(0.2))
    found = compare(gentle=curve(*gentle), plain=curve(*PLAIN))
    assert list(found) == ["plain", "gentle"]
    for name, shapes in (("plain", PLAIN), ("gentle", gentle)):
        factor, lost = truth(PLAIN[0], *shapes)
        assert found[name].factors[7] == pytest.approx(factor, abs=1e-4)
        assert found[name].losses[0].lost == pytest.approx(lost, abs=1e-4)
    (loss,) = found["gentle"].losses
    assert loss.more == pytest.approx(loss.lost - found["plain"].losses[0].lost)
    assert loss.more_high < 0
    assert loss.p_holm < 0.05
    assert found["plain"].factors[7] < 1  # type: ignore[operator]  # plain is judged on its own curve too


def test_a_method_that_never_reaches_the_target_says_so_and_claims_nothing() -> None:
    found = compare(plain=curve(*PLAIN), timid=curve(saturate(0.7), bend(0.0)), other=curve(saturate(1.0), bend(0.1)))
    assert not found["timid"].reaches
    assert found["timid"].factors == {7: None}
    assert np.isnan([found["timid"].losses[0].more, found["timid"].losses[0].p_holm]).all()
    assert found["timid"].gained == pytest.approx(0.7, abs=0.01)
    assert found["other"].losses[0].p_holm == found["other"].losses[0].p  # Holm over the one that can be compared
    assert found["timid"].plain()["losses"][0]["more"] is None


@settings(max_examples=25, deadline=None)
@given(st.floats(0.2, 2), st.floats(0.5, 5), st.floats(0, 1), st.floats(1, 4), st.floats(0, 0.5))
def test_a_method_is_never_apart_from_itself(
    whole: float, speed: float, lost: float, power: float, noise: float
) -> None:
    shapes = saturate(whole, speed), bend(lost, power)
    found = compare(100, plain=curve(*shapes, noise=noise), twin=curve(*shapes, noise=noise))
    (loss,) = found["twin"].losses
    assert (loss.more, loss.more_low, loss.more_high, loss.p) == (0, 0, 0, 1)
    assert found["twin"].factors == found["plain"].factors
    assert found["twin"].gained == 1


@settings(max_examples=25, deadline=None)
@given(st.sampled_from([0.5, 0.25, 2.0]), st.floats(0.05, 1.0))
def test_only_the_path_counts_and_not_how_far_training_went_along_it(speed: float, lost: float) -> None:
    """A method that goes the same way faster or slower loses the same at equal new skill."""

    def stretched(shape: Shape) -> Shape:
        return lambda factors: shape(factors * speed)

    path = (lambda factors: -0.4 * factors), (lambda factors: lost * factors)  # straight, so that no factor matters
    found = compare(100, plain=curve(*path), other=curve(*map(stretched, path)))
    if speed * 1.5 < 0.9:
        assert not found["other"].reaches
    else:
        assert found["other"].losses[0].more == pytest.approx(0, abs=1e-9)
        assert found["other"].factors[7] == pytest.approx(0.9 / speed)


def test_seeds_are_paired_and_averaged() -> None:
    one, two = curve(*PLAIN), curve(saturate(0.8), bend(0.6))
    gentle = curve(saturate(1.0), bend(0.3))
    methods = {"plain": {1: one, 2: two}, "gentle": {1: gentle, 2: gentle, 3: gentle}}
    found = {one.method: one for one in compare_at_equal_skill(methods, "plain", TASKS, 100, 5)}
    assert set(found["gentle"].factors) == {1, 2}
    alone = [
        compare_at_equal_skill({"plain": {1: plain}, "gentle": {1: gentle}}, "plain", TASKS, 100, 5)[1].losses[0].more
        for plain in (one, two)
    ]
    assert found["gentle"].losses[0].more == pytest.approx(np.mean(alone))
    with pytest.raises(InputError, match="gentle: no training seed in common with plain"):
        compare_at_equal_skill({"plain": {1: one}, "gentle": {3: gentle}}, "plain", TASKS, 100, 5)


def test_a_claim_leaves_out_the_seed_that_its_method_was_chosen_by() -> None:
    """The method is worse than plain training, but for the seed that it was looked at with."""
    one, lucky, worse, gentle = (curve(PLAIN[0], bend(whole), noise=0.2) for whole in (0.5, 0.02, 0.6, 0.3))
    methods = {"plain": {7: one, 1: one, 2: one}, "picked": {7: lucky, 1: worse, 2: worse}, "alone": {7: gentle}}
    fooled = compare_at_equal_skill(methods, "plain", TASKS, 300, 5)[1]
    assert fooled.losses[0].more < 0
    plain, picked, alone = compare_at_equal_skill(methods, "plain", TASKS, 300, 5, chosen_by={"picked": {7}})
    assert set(picked.factors) == {1, 2}
    assert picked.chosen_by == {7: fooled.factors[7]}  # where its answers are
    (loss,), (other,) = picked.losses, alone.losses
    assert loss.more_low > 0
    pair = {"plain": {1: one, 2: one}, "picked": {1: worse, 2: worse}}
    (expected,) = compare_at_equal_skill(pair, "plain", TASKS, 300, 5)[1].losses
    assert replace(loss, p_holm=0) == replace(expected, p_holm=0)
    # plain is not chosen: it has every seed, and the method of one seed is held against that seed
    assert (set(plain.factors), set(alone.factors)) == ({7, 1, 2}, {7})
    assert [loss.p_holm, other.p_holm] == pytest.approx(holm([loss.p, other.p]))  # one family, whatever the seeds
    methods["plain"] = {7: one}
    with pytest.raises(InputError, match="picked: no training seed in common with plain but the one that it was"):
        compare_at_equal_skill(methods, "plain", TASKS, 50, 5, chosen_by={"picked": {7}})


def test_holm_runs_over_the_methods_within_a_task() -> None:
    generator = np.random.default_rng(3)
    methods = {"plain": curve(*PLAIN, noise=0.3)}
    methods |= {
        f"m{number}": curve(saturate(1.0), bend(0.5 - 0.05 * generator.random()), noise=0.3) for number in range(4)
    }
    losses = [one.losses[0] for name, one in compare(**methods).items() if name != "plain"]
    least = min(losses, key=lambda loss: loss.p)
    assert least.p_holm == pytest.approx(min(1, 4 * least.p))
    assert all(loss.p_holm >= loss.p for loss in losses)


def test_runs_of_other_rows_or_of_another_base_are_refused() -> None:
    with pytest.raises(InputError, match="other and plain have other rows of new"):
        compare(plain=curve(*PLAIN), other=curve(*PLAIN, clusters=30))
    with pytest.raises(InputError, match="other and plain have another base"):
        compare(plain=curve(*PLAIN), other=curve(lambda factors: 0.1 - factors, bend(0.1)))


@pytest.mark.parametrize("clusters", [12, 60])
def test_the_interval_holds_the_truth_as_often_as_it_says(clusters: int) -> None:
    """Clusters differ in how much they change, as prompts do. Of 200 samples 95% is 190; 181 has a chance of 1 in 1,000."""
    gentle = (saturate(1.1), bend(0.3))
    wanted = truth(PLAIN[0], *gentle)[1] - truth(PLAIN[0], *PLAIN)[1]
    held = 0
    for sample in range(200):
        how: dict[str, Any] = {"seed": sample, "noise": 0.3, "clusters": clusters}
        found = compare(200, plain=curve(*PLAIN, own=1, **how), gentle=curve(*gentle, own=2, **how))
        (loss,) = found["gentle"].losses
        held += loss.more_low <= wanted <= loss.more_high
        assert (loss.more_low > 0 or loss.more_high < 0) == (loss.p < 0.05) or 0.03 < loss.p < 0.07
    assert held >= 181
