"""Whether two ways of answering the same problems differ, and what more samples would solve."""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np
from scipy.stats import binomtest, bootstrap, permutation_test


def mcnemar(first: Sequence[bool], second: Sequence[bool]) -> float:
    """Exact two-sided p of McNemar's test on pairs; 1.0 where nothing differs.

    Only the pairs that differ count: without a difference either side is as likely in each.
    Raises ValueError where the lengths differ.
    """
    b, c = discordant(first, second)
    return float(binomtest(b, b + c, 0.5).pvalue) if b + c else 1.0


def discordant(first: Sequence[bool], second: Sequence[bool]) -> tuple[int, int]:
    """How many pairs are true in the first alone, and in the second alone.

    Raises ValueError where the lengths differ.
    """
    pairs = list(zip(first, second, strict=True))
    return sum(bool(x and not y) for x, y in pairs), sum(bool(y and not x) for x, y in pairs)


def exact_interval(k: int, n: int) -> tuple[float, float]:
    """The exact 95 % interval of a share of k in n, of Clopper and Pearson.

    It leaves out a half where the two-sided sign test has p < 0.05, and nowhere else.
    Raises ValueError unless 0 <= k <= n and n > 0.
    """
    found = binomtest(k, n).proportion_ci(0.95, method="exact")
    return float(found.low), float(found.high)


def paired_interval(
    first: Sequence[float], second: Sequence[float], seed: int
) -> tuple[float, float]:
    """The 95 % interval of mean(first) - mean(second), by a percentile bootstrap over the pairs.

    Values may be success fractions of a problem. Where all pairs differ by the same, both ends are
    that difference. Raises ValueError where the lengths differ or there is no pair.
    """
    pairs = zip(first, second, strict=True)
    apart = np.array([float(x) - float(y) for x, y in pairs])  # a drawn pair stays a pair
    if not len(apart):
        raise ValueError("an interval of a difference needs at least one pair")
    if np.ptp(apart) == 0:  # a resample can only be the same again
        return float(apart[0]), float(apart[0])
    found = bootstrap(
        (apart,),
        np.mean,
        method="percentile",
        batch=1000,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased estimate that one of k samples is right, from c right ones among n samples.

    1 - C(n-c, k) / C(n, k) (Chen et al. 2021, arXiv 2107.03374), in whole numbers up to the one
    division, so nothing is lost however large n is. Raises ValueError unless 0 <= c <= n and
    1 <= k <= n.
    """
    if not (0 <= c <= n and 1 <= k <= n):
        raise ValueError(f"pass@{k} of {c} right samples in {n} needs 0 <= c <= n and 1 <= k <= n")
    every = comb(n, k)
    return (every - comb(n - c, k)) / every


Part = tuple[float, float]  # what a problem adds above and below: a mean's is (its value, 1)


def paired_p(first: Sequence[Part], second: Sequence[Part], seed: int) -> float:
    """Two-sided p that two ratios of sums over the same problems differ by chance alone.

    Without a difference it is chance which of a problem's two parts is whose. Of right and wrong
    answers this is McNemar's exact test; it is exact for up to 13 problems, and beyond that comes
    from 9999 draws, never below 0.0002. Raises ValueError where the lengths differ or there is no
    problem.
    """
    above, below = _columns([*first, *second])
    n = len(first)
    if not n or len(second) != n:
        raise ValueError(f"pairs need as many of each, at least one, not {n} and {len(second)}")

    def difference(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
        return _ratio(above, below, one, axis) - _ratio(above, below, other, axis)

    # of indices, so that what is above and below stay together
    found = permutation_test(
        (np.arange(n), np.arange(n, 2 * n)),
        difference,
        permutation_type="samples",
        vectorized=True,
        n_resamples=9999,
        batch=500,
        random_state=np.random.default_rng(seed),
    )
    return float(min(1.0, found.pvalue))


def ratio_interval(parts: Sequence[Part], seed: int) -> tuple[float, float]:
    """The 95 % interval of a ratio of sums over problems, by a percentile bootstrap over them.

    Raises ValueError where there are fewer than two.
    """
    if len(parts) < 2:
        raise ValueError("an interval of a ratio needs at least two problems")
    above, below = _columns(parts)

    def ratio(drawn: np.ndarray, axis: int) -> np.ndarray:
        return _ratio(above, below, drawn, axis)

    found = bootstrap(
        (np.arange(len(parts)),),
        ratio,
        method="percentile",
        vectorized=True,
        batch=500,
        random_state=np.random.default_rng(seed),
    ).confidence_interval
    return float(found.low), float(found.high)


def _columns(parts: Sequence[Part]) -> np.ndarray:
    return np.asarray(parts, float).reshape(-1, 2).T


def _ratio(above: np.ndarray, below: np.ndarray, at: np.ndarray, axis: int) -> np.ndarray:
    return above[at].sum(axis) / below[at].sum(axis)
