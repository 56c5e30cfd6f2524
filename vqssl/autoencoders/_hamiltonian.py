"""Hamiltonian Monte Carlo (Neal 2011) for many chains at once; knows no network."""

import math
from collections.abc import Callable

import numpy as np

# Leapfrog steps of one transition.
_N_LEAPFROG = 8

# Share of proposals that step sizes aim to have accepted (Beskos et al. 2013: .65 is optimal
# in high dimensions; a bit more is safer in few).
_TARGET = 0.8

# Up to this share step sizes differ from transition to transition, which breaks cycles.
_JITTER = 0.2


def hamiltonian_monte_carlo(
    log_density: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    n_transitions: int,
    rng: np.random.RandomState,
) -> tuple[np.ndarray, np.ndarray]:
    """Move chains towards draws from their densities.

    Each chain stands for itself: its draws do not depend on the others, but for those of its
    problem, which share a step size. In the first half of the transitions step sizes adapt to
    an acceptance of .8, in the second half they stay.

    Parameters
    ----------
    log_density : callable
        Takes points (n_draws, n_problems, Z) and returns log-densities up to a constant,
        (n_draws, n_problems), and their gradients, of the shape of the points.
    start : ndarray of shape (n_draws, n_problems, Z)
        Where the chains start; about unit scale.
    n_transitions : int
    rng : RandomState

    Returns
    -------
    points : ndarray of shape (n_draws, n_problems, Z)
        Where the chains are at the end.
    acceptance : ndarray of shape (n_problems,)
        Mean probability of acceptance in the second half.
    """
    points = start
    density, gradient = log_density(points)
    n_draws, n_problems, dim = points.shape
    log_step = np.full(n_problems, math.log(0.5 * dim**-0.25))
    acceptance = np.zeros(n_problems)
    n_adaptive = n_transitions // 2
    for transition in range(n_transitions):
        momentum = rng.standard_normal(points.shape)
        jitter = 1 + _JITTER * (2 * rng.random_sample((n_draws, n_problems)) - 1)
        u = rng.random_sample((n_draws, n_problems))
        step = (jitter * np.exp(log_step))[..., None]

        moved, speed, slope = points, momentum, gradient
        for _ in range(_N_LEAPFROG):
            speed = speed + 0.5 * step * slope
            moved = moved + step * speed
            moved_density, slope = log_density(moved)
            speed = speed + 0.5 * step * slope
        kinetic = 0.5 * (np.square(momentum).sum(-1) - np.square(speed).sum(-1))
        with np.errstate(over="ignore", invalid="ignore"):
            log_ratio = moved_density - density + kinetic
            # A step so large that numbers overflow is refused.
            probability = np.exp(np.minimum(np.where(np.isnan(log_ratio), -np.inf, log_ratio), 0))
        accepted = u < probability
        points = np.where(accepted[..., None], moved, points)
        gradient = np.where(accepted[..., None], slope, gradient)
        density = np.where(accepted, moved_density, density)

        mean = probability.mean(0)
        if transition < n_adaptive:
            log_step += (mean - _TARGET) * 2 / math.sqrt(transition + 1)
        else:
            acceptance += mean / (n_transitions - n_adaptive)
    return points, acceptance
