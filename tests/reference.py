"""The library's equations as plain loops over numpy arrays: slow, obvious, written twice.

Nothing here imports the library. Arrays are float64; a loop stands wherever the library has
a matrix product or a reduction.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


# ---------------------------------------------------------------- joint-embedding losses


def barlow_twins(
    first: Array, second: Array, redundancy: float, eps: float = 1e-5
) -> dict[str, float]:
    """Terms of Barlow Twins for views of shape (B, P)."""
    n_rows, n_features = first.shape

    def column(z: Array, j: int) -> Array:
        mean = sum(z[b, j] for b in range(n_rows)) / n_rows
        variance = sum((z[b, j] - mean) ** 2 for b in range(n_rows)) / n_rows
        return (z[:, j] - mean) / math.sqrt(variance + eps)

    on, off = 0.0, 0.0
    for i in range(n_features):
        for j in range(n_features):
            a, b = column(first, i), column(second, j)
            correlation = sum(a[row] * b[row] for row in range(n_rows)) / n_rows
            if i == j:
                on += (1 - correlation) ** 2
            else:
                off += correlation**2
    return {"invariance": on / n_features, "redundancy": redundancy * off / n_features}


def vicreg(
    first: Array, second: Array, invariance: float, variance: float, covariance: float
) -> dict[str, float]:
    """Terms of VICReg for views of shape (B, P): variance averaged, covariance summed."""
    n_features = first.shape[1]
    shortfall, penalty = 0.0, 0.0
    for z in (first, second):
        shortfall += _shortfall(z) / 2
        for i in range(n_features):
            for j in range(n_features):
                if i != j:
                    penalty += _covariance(z, i, j) ** 2 / n_features
    return {
        "invariance": invariance * _mean_squared_difference(first, second),
        "variance": variance * shortfall,
        "covariance": covariance * penalty,
    }


def vibcreg(
    first: Array,
    second: Array,
    invariance: float,
    variance: float,
    covariance: float,
    eps: float = 1e-5,
) -> dict[str, float]:
    """Terms of VIbCReg for views of shape (B, P): columns are normalised one by one."""
    n_rows, n_features = first.shape
    shortfall, penalty = 0.0, 0.0
    for z in (first, second):
        shortfall += _shortfall(z)
        columns = []
        for j in range(n_features):
            centred = z[:, j] - sum(z[b, j] for b in range(n_rows)) / n_rows
            norm = math.sqrt(sum(value**2 for value in centred) + n_rows * eps)
            columns.append(centred / norm)
        for i in range(n_features):
            for j in range(n_features):
                if i != j:
                    product = sum(columns[i][b] * columns[j][b] for b in range(n_rows))
                    penalty += product**2 / n_features**2
    return {
        "invariance": invariance * _mean_squared_difference(first, second),
        "variance": variance * shortfall,
        "covariance": covariance * penalty,
    }


def infonce(first: Array, second: Array, temperature: float, eps: float = 1e-6) -> dict[str, float]:
    """Term of InfoNCE for views of shape (B, P): each row of one view looks for its other."""
    n_rows = len(first)

    def score(a: Array, b: Array) -> float:
        product = sum(x * y for x, y in zip(a, b, strict=True))
        lengths = math.sqrt(sum(x * x for x in a) + eps) * math.sqrt(sum(y * y for y in b) + eps)
        return math.exp(product / lengths / temperature)

    loss = 0.0
    for queries, candidates in ((first, second), (second, first)):
        for i in range(n_rows):
            positive = score(queries[i], candidates[i])
            negatives = sum(score(queries[i], candidates[j]) for j in range(n_rows) if j != i)
            loss -= math.log(positive / (positive + negatives)) / (2 * n_rows)
    return {"contrast": loss}


def future_infonce(
    context: Array, frames: Array, weights: Array, candidates: list[int]
) -> tuple[float, list[list[int]]]:
    """InfoNCE over future steps of CPC, and the negatives of each prediction.

    Contexts (B, N, E), frames (B, N, D), weights W_k (K, D, E); candidates are J + 1 places among
    all B N frames. A prediction's negatives are the candidates without its positive, or without
    the last where the positive is not among them.
    """
    n_series, n_frames, n_dims = frames.shape
    by_step, all_negatives = [], []
    for k, weight in enumerate(weights, start=1):
        losses = []
        for b in range(n_series):
            for t in range(n_frames - k):

                def score(place: int, b: int = b, t: int = t, weight: Array = weight) -> float:
                    z = frames[place // n_frames, place % n_frames]
                    total = 0.0
                    for i in range(n_dims):
                        for j in range(context.shape[2]):
                            total += z[i] * weight[i, j] * context[b, t, j]
                    return math.exp(total)

                positive = b * n_frames + t + k
                negatives = [place for place in candidates if place != positive]
                negatives = negatives[: len(candidates) - 1]
                all_negatives.append(negatives)
                total = score(positive) + sum(score(place) for place in negatives)
                losses.append(-math.log(score(positive) / total))
        by_step.append(sum(losses) / len(losses))
    return sum(by_step) / len(by_step), all_negatives


def iter_norm(z: Array, group_width: int, n_steps: int, eps: float = 1e-5) -> Array:
    """Whiten groups of columns of z, shape (B, P), by the exact effect on each eigenvector.

    Newton-Schulz iterates are polynomials in the covariance matrix, so they act on each of
    its eigenvalues alone: p <- 1.5 p - 0.5 p^3 s, started at 1, with s the eigenvalue over
    the trace.
    """
    n_rows, n_features = z.shape
    n_groups = math.ceil(n_features / group_width)
    width = math.ceil(n_features / n_groups)
    whitened = np.zeros_like(z)
    for start in range(0, n_features, width):
        group = z[:, start : start + width] - z[:, start : start + width].mean(axis=0)
        eigenvalues, vectors = np.linalg.eigh(group.T @ group / n_rows)
        trace = eigenvalues.sum() + eps
        for eigenvalue, vector in zip(eigenvalues, vectors.T, strict=True):
            p = 1.0
            for _ in range(n_steps):
                p = 1.5 * p - 0.5 * p**3 * eigenvalue / trace
            whitened[:, start : start + width] += (
                p / math.sqrt(trace) * np.outer(group @ vector, vector)
            )
    return whitened


def _mean_squared_difference(first: Array, second: Array) -> float:
    n_rows, n_features = first.shape
    total = 0.0
    for b in range(n_rows):
        for j in range(n_features):
            total += (first[b, j] - second[b, j]) ** 2
    return total / (n_rows * n_features)


def _covariance(z: Array, i: int, j: int) -> float:
    n_rows = len(z)
    mean_i = sum(z[b, i] for b in range(n_rows)) / n_rows
    mean_j = sum(z[b, j] for b in range(n_rows)) / n_rows
    return sum((z[b, i] - mean_i) * (z[b, j] - mean_j) for b in range(n_rows)) / (n_rows - 1)


def _shortfall(z: Array) -> float:
    n_features = z.shape[1]
    total = 0.0
    for j in range(n_features):
        total += max(0.0, 1 - math.sqrt(_covariance(z, j, j) + 1e-4))
    return total / n_features


# ---------------------------------------------------------------- quantizers


def nearest_codes(z: Array, codebook: Array) -> list[int]:
    """Index of the codebook vector (K, D) with the least distance to each latent of (n, D)."""
    codes = []
    for row in z:
        distances = []
        for vector in codebook:
            distances.append(sum((a - b) ** 2 for a, b in zip(row, vector, strict=True)))
        codes.append(distances.index(min(distances)))
    return codes


def ema_step(
    vectors: Array, count: Array, total: Array, z: Array, decay: float, eps: float = 1e-5
) -> tuple[Array, Array, Array]:
    """Vectors (K, D), counts (K,) and sums (K, D) of an EMA codebook after latents (n, D)."""
    n_codes = len(vectors)
    load, latent_sum = [0] * n_codes, np.zeros_like(total)
    for row, code in zip(z, nearest_codes(z, vectors), strict=True):
        load[code] += 1
        latent_sum[code] += row
    vectors, count, total = vectors.copy(), count.copy(), total.copy()
    for k in range(n_codes):
        count[k] = decay * count[k] + (1 - decay) * load[k]
        total[k] = decay * total[k] + (1 - decay) * latent_sum[k]
    n_tokens = sum(count)
    for k in range(n_codes):
        if load[k] > 0:
            vectors[k] = total[k] / ((count[k] + eps) / (n_tokens + n_codes * eps) * n_tokens)
    return vectors, count, total


def orthogonality(codebook: Array) -> float:
    """Mean over all pairs of rows of (K, D) of the squared cosine, 0 for a row with itself."""
    loss = 0.0
    for i, first in enumerate(codebook):
        for j, second in enumerate(codebook):
            if i != j:
                product = sum(a * b for a, b in zip(first, second, strict=True))
                lengths = math.sqrt(sum(a * a for a in first) * sum(b * b for b in second))
                loss += (product / lengths) ** 2
    return loss / len(codebook) ** 2


def fsq_point(z: Array, levels: tuple[int, ...], margin: float = 0.0005) -> list[float]:
    """Bounded coordinates, before rounding, of one latent (d,) of finite scalar quantization."""
    point = []
    for value, level in zip(z, levels, strict=True):
        half = (level - 1) / 2 + margin
        offset = 0.5 if level % 2 == 0 else 0.0
        shift = 0.0 if level == 2 else math.atanh(offset / half)
        point.append(half * math.tanh(value + shift) - offset)
    return point


def fsq_code(point: list[float], levels: tuple[int, ...]) -> int:
    """Code of a bounded point: its digits, the first dimension counting least."""
    code, stride = 0, 1
    for value, level in zip(point, levels, strict=True):
        code += (round(value) + level // 2) * stride
        stride *= level
    return code


# ---------------------------------------------------------------- generators


def n_still_masked(step: int, n_steps: int, n_tokens: int, schedule: str) -> int:
    """Least whole number that is at least gamma(step / n_steps) n_tokens."""
    if schedule == "cosine":
        # The arguments below 1 where rounding could matter: cos(pi / 3) is one half.
        if 3 * step == 2 * n_steps:
            return -(-n_tokens // 2)
        if step == n_steps:
            return 0
        return math.ceil(math.cos(math.pi * step / (2 * n_steps)) * n_tokens)
    power = {"linear": 1, "square": 2, "cubic": 3}[schedule]
    # 1 - r**p as a fraction, rounded up in whole numbers.
    return -(-(n_steps**power - step**power) * n_tokens // n_steps**power)


def inverse_distribution(logits: Array, u: float) -> int:
    """Code whose stretch of [0, 1), in order and as long as its probability, holds u."""
    weights = [math.exp(value - max(logits)) for value in logits]
    height = 0.0
    for code, weight in enumerate(weights):
        height += weight / sum(weights)
        if weight > 0 and u < height:
            return code
    return max(code for code, weight in enumerate(weights) if weight > 0)


def van_der_corput(n: int) -> list[int]:
    """Positions 0 to n - 1 by the value of their digits, base 2, read backwards."""
    n_digits = 1
    while 2**n_digits < n:
        n_digits += 1

    def backwards(number: int) -> int:
        value = 0
        for _ in range(n_digits):
            value, number = 2 * value + number % 2, number // 2
        return value

    return [p for p in (backwards(i) for i in range(2**n_digits)) if p < n]


def fill_masks(
    predict: Callable[[list[int]], Array],
    codes: list[int],
    unknown: list[int],
    u_codes: Array,
    u_order: Array,
    roll: float,
    n_steps: int,
    schedule: str,
    order: str,
    temperature: float,
    choice_temperature: float,
) -> list[int]:
    """Codes (N,) of one sample, drawn in n_steps steps at the positions `unknown`.

    `u_codes` and `u_order` of shape (T, N) are the uniform numbers of every step.
    """
    codes, left, n = list(codes), list(unknown), len(unknown)
    n_steps = min(n_steps, n)
    start = int(roll * n)
    for step in range(n_steps):
        logits = predict(codes) / temperature
        drawn, confidence = {}, {}
        for i in left:
            drawn[i] = inverse_distribution(logits[i], u_codes[step, i])
            log_sum = math.log(sum(math.exp(value - max(logits[i])) for value in logits[i]))
            gumbel = -math.log(-math.log(u_order[step, i]))
            fading = 1 - (step + 1) / n_steps
            log_p = logits[i][drawn[i]] - max(logits[i]) - log_sum
            confidence[i] = log_p + choice_temperature * fading * gumbel
        if order == "halton":
            wanted = [unknown[(place - start) % n] for place in van_der_corput(n)]
        elif order == "random":
            wanted = sorted(unknown, key=lambda i: u_order[0, i])
        else:
            wanted = sorted(left, key=lambda i: -confidence[i])
        wanted = [i for i in wanted if i in left]
        n_left = min(n_still_masked(step + 1, n_steps, n, schedule), len(left) - 1)
        for i in wanted[: len(left) - n_left]:
            codes[i] = drawn[i]
            left.remove(i)
        if not left:
            break
    return codes
