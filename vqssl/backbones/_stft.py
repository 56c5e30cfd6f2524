"""Short-time Fourier transform in real numbers, and its inverse."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl.backbones._base import count_tokens


class ShortTimeFourier(nn.Module):
    """Coefficients of overlapping frames of series, from which they come back exactly.

    Frame f is centred at point ``f * hop`` and holds ``n_fft`` points; there are as many
    frames as cells of ``hop`` points in the series. Beyond its ends a series keeps its first
    and last value, so that any length from 1 up will do.

    Parameters
    ----------
    length : int
        L, number of time points.
    n_fft : int
        Time points in a frame, at least 4; the hop is a quarter of it, rounded down.

    Notes
    -----
    A frame has n_fft real coefficients: for every bin the real and the imaginary part, but
    for the imaginary parts that are always zero, those of bin 0 and, where n_fft is even, of
    the last bin. They are scaled to have the mean square of the frame in sum; bin 0 is its
    mean.

    The frames are cut out without a window, and the Hann window weighs them where they are
    added up. A window before the transform would spread bin 0 to bin 1: of a constant, a
    third would be in other bins than 0.
    """

    basis: Tensor  # (n_fft, n_fft) a coefficient in each column
    synthesis: Tensor  # (n_fft, n_fft) a coefficient in each row, weighed by the window
    envelope: Tensor  # (L,) sum of the windows over a point

    def __init__(self, length: int, n_fft: int) -> None:
        super().__init__()
        self.length = length
        self.n_fft = n_fft
        self.hop = n_fft // 4
        self.n_frames = count_tokens(length, self.hop)
        self.before = n_fft // 2
        # Functions of the sizes, so they are no part of the state.
        self.register_buffer("basis", torch.empty(n_fft, n_fft), False)
        self.register_buffer("synthesis", torch.empty(n_fft, n_fft), False)
        self.register_buffer("envelope", torch.empty(length), False)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        n = self.n_fft
        spectrum = torch.fft.rfft(torch.eye(n, dtype=torch.float64), norm="forward")
        # Bins side by side, real and imaginary parts, but for the imaginary part of bin 0 and,
        # where n is even, that of the last.
        basis = math.sqrt(2) * torch.view_as_real(spectrum).flatten(1)[:, [0, *range(2, n + 1)]]
        single = [0] if n % 2 else [0, n - 1]
        basis[:, single] /= math.sqrt(2)
        window = torch.hann_window(n, dtype=torch.float64)
        self.basis.copy_(basis)
        # Orthogonal columns of squared norm 1 / n.
        self.synthesis.copy_(n * basis.T * window)
        frames = window[:, None].expand(n, self.n_frames)
        self.envelope.copy_(self._add_up(frames[None])[0])

    def columns(self, first: int, last: int) -> slice:
        """Coefficients of the bins from `first` up to, not including, `last`."""
        return slice(max(0, 2 * first - 1), min(2 * last - 1, self.n_fft))

    def forward(self, x: Tensor) -> Tensor:
        """Coefficients by bin, real part before imaginary, (B, C, L) -> (B, C, F, n_fft)."""
        after = (self.n_frames - 1) * self.hop + self.n_fft - self.before - self.length
        frames = F.pad(x, (self.before, after), mode="replicate").unfold(2, self.n_fft, self.hop)
        with torch.autocast(x.device.type, enabled=False):
            return frames @ self.basis

    def inverse(self, coefficients: Tensor, columns: slice) -> Tensor:
        """Series of some of the coefficients, the others zero, (B, C, F, Q) -> (B, C, L)."""
        with torch.autocast(coefficients.device.type, enabled=False):
            synthesis = self.synthesis[columns]
            frames = coefficients.to(synthesis.dtype) @ synthesis  # (B, C, F, n_fft)
        series = self._add_up(frames.flatten(0, 1).transpose(1, 2))  # (B C, L)
        return (series / self.envelope).unflatten(0, coefficients.shape[:2])

    def _add_up(self, frames: Tensor) -> Tensor:
        """Sum of frames where they overlap, (n, n_fft, F) -> (n, L)."""
        n_points = (self.n_frames - 1) * self.hop + self.n_fft
        points = F.fold(frames, (1, n_points), (1, self.n_fft), stride=(1, self.hop))
        return points[:, 0, 0, self.before : self.before + self.length]
