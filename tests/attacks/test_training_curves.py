"""When a training's figure is a bound: its error was still falling, by more than noise."""

import numpy as np
import pytest

from esrt_privacy.attacks.training_curves import still_falling

FLAT = [1.0, 0.6, 0.4, 0.3, 0.3, 0.3, 0.3, 0.3]
FALLING = [1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3]


def noisy(curve, seed: int, noise: float) -> list[float]:
    return (np.array(curve) + np.random.default_rng(seed).normal(0, noise, len(curve))).tolist()


def test_a_curve_that_goes_on_down_is_still_falling():
    assert still_falling([noisy(FALLING, seed, 0.02) for seed in range(6)])


def test_what_the_first_half_reached_does_not_matter():
    assert not still_falling([noisy(FLAT, seed, 0.005) for seed in range(6)])


def test_flat_curves_are_called_falling_in_one_case_of_twenty_at_most():
    flat = [0.3] * 8
    called = [
        still_falling([noisy(flat, 100 * case + seed, 0.05) for seed in range(6)])
        for case in range(400)
    ]
    assert np.mean(called) < 0.08


def test_a_fall_that_is_less_than_its_noise_is_none():
    one_jumps = [FLAT, FLAT, [*FLAT[:6], 0.05, 0.05]]
    assert not still_falling(one_jumps)


def test_a_rising_error_is_not_falling():
    assert not still_falling([list(reversed(FALLING))] * 3)


@pytest.mark.parametrize("curves", [[], [FALLING], [[0.4, 0.3]] * 5, [[float("nan")] * 8] * 5])
def test_too_little_says_nothing(curves):
    assert not still_falling(curves)
