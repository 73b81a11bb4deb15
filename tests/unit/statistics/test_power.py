"""Power before a run: the textbooks' numbers, and simulated tests that show what is promised about as often."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import binomtest, norm, ttest_1samp

from relearn.statistics import power
from relearn.statistics.power import Noise, PairedShare
from relearn.statistics.significance import minimum_detectable


def test_a_mean_needs_the_pairs_of_the_textbooks() -> None:
    # Cohen 1988 and G*Power 3: paired t, two-sided 5%, power 80%; effects of 0.2, 0.5 and 0.8 deviations
    found = [power.fewest(lambda number, d=d: power.find_detectable([Noise(1, number)]) <= d) for d in (0.2, 0.5, 0.8)]
    assert found == [199, 34, 15]


def test_many_clusters_need_what_the_evaluation_says_of_its_own_sample() -> None:
    clusters, deviation = 5000, 0.3
    means = np.random.default_rng(1).normal(0, deviation / math.sqrt(clusters), 20_000)
    assert power.find_detectable([Noise(deviation, clusters)]) == pytest.approx(minimum_detectable(means), rel=0.02)


def test_a_paired_share_needs_connors_number_by_hand() -> None:
    # 0.8 falls to 0.7, independently: 0.8 * 0.3 + 0.7 * 0.2 = 0.38 change.
    # (1.95996 sqrt(0.38) + 0.84162 sqrt(0.38 - 0.01))^2 / 0.01 = (1.20819 + 0.51193)^2 / 0.01 = 295.9
    assert PairedShare(0.8, 0.0).changed(0.1) == pytest.approx(0.38)
    assert PairedShare(0.8, 0.0).needed(0.1) == pytest.approx(295.9, abs=0.1)
    # nothing but losses: as much changes as is lost
    assert PairedShare(0.8, 1.0).changed(0.1) == pytest.approx(0.1)
    assert PairedShare(0.8, 0.5).find_detectable(PairedShare(0.8, 0.5).needed(0.07)) == pytest.approx(0.07)


def test_independent_answers_need_what_two_samples_do() -> None:
    # Fleiss, Levin & Paik 2003, two proportions without pairing, a sample each: 0.5 against 0.4
    before, after, z, zb = 0.5, 0.4, norm.ppf(0.975), norm.ppf(0.8)
    middle = (before + after) / 2
    each = (z * math.sqrt(2 * middle * (1 - middle)) + zb * math.sqrt(before * (1 - before) + after * (1 - after))) ** 2
    assert PairedShare(0.5, 0.0).needed(0.1) == pytest.approx(each / 0.1**2, rel=0.01)


def test_what_cannot_be_lost_or_shown_is_never_promised() -> None:
    assert PairedShare(0.1, 0.5).needed(0.2) == math.inf
    assert PairedShare(0.1, 0.5).find_detectable(5) == math.inf
    assert power.find_detectable([Noise(0.3, 1)]) == math.inf
    # seeds that differ by more than the loss: no number of prompts helps
    assert power.fewest(lambda number: power.find_detectable([Noise(0.2, number), Noise(0.1, 3)]) <= 0.05) is None


@pytest.mark.parametrize("clusters", [8, 40, 300])
def test_a_detectable_mean_is_shown_in_about_eighty_of_a_hundred_runs(clusters: int) -> None:
    loss = power.find_detectable([Noise(0.25, clusters)])
    runs = np.random.default_rng(clusters).normal(loss, 0.25, (4000, clusters))
    assert float((ttest_1samp(runs, 0, axis=1).pvalue < 0.05).mean()) == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize(("score", "correlation"), [(0.9, 0.5), (0.5, 0.5), (0.7, 0.0)])
def test_a_detectable_share_is_shown_in_about_eighty_of_a_hundred_runs(score: float, correlation: float) -> None:
    share, size = PairedShare(score, correlation), 400
    loss = share.find_detectable(size)
    changed = share.changed(loss)
    lost, gained = (changed + loss) / 2, (changed - loss) / 2
    runs = np.random.default_rng(3).multinomial(size, [lost, gained, 1 - changed], size=1500)
    # the mid-p McNemar test: the exact one shows less than it claims (Fagerland, Lydersen & Laake 2013)
    shown = [_mid_p(int(down), int(up)) < 0.05 for down, up, _ in runs]
    assert np.mean(shown) == pytest.approx(0.8, abs=0.04)


def _mid_p(down: int, up: int) -> float:
    exact = binomtest(down, down + up).pvalue
    return float(exact - math.comb(down + up, down) * 0.5 ** (down + up))


def test_design_effect() -> None:
    assert power.effective_size(200, 50, 1.0) == 50  # Kish: a cluster tells no more than one prompt
    assert power.effective_size(200, 50, 0.0) == 200
    assert power.effective_size(200, 50, 0.5) == pytest.approx(200 / 2.5)
