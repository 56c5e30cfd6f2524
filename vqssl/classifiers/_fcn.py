"""Fully convolutional network (Wang, Yan, Oates 2017) as a classifier of series and images."""

import itertools
import math
import numbers
import os
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vqssl._base import TorchEstimator
from vqssl._scaler import Scaler
from vqssl._steps import Budget
from vqssl._validation import check_count
from vqssl.classifiers._base import BaseClassifier
from vqssl.classifiers._image_block import ImageBlock
from vqssl.classifiers._row_norm import RowNorm

# Of `max_iter="auto"`: passes and limits, and steps that each class is given at least.
_PASSES, _LEAST_STEPS, _MOST_STEPS = 64, 400, 1200
_STEPS_PER_CLASS = 20

# Series over which the norms take their final statistics.
_NORM_SAMPLE = 1024

# Channels of each convolution and what it sees, by the number of axes: time points of series,
# pixels of images, which have so many more of them that half the channels must do.
_WIDTHS = {1: (128, 256, 128), 2: (64, 128, 128)}
_KERNELS = {1: (8, 5, 3), 2: (5, 3, 3)}

# Pixels along a side that are not halved any more.
_SMALLEST_SIDE = 4

# Numbers of input that a time point counts for in the size of a batch of inference: on the CPU
# about 2,000 of them are worked on at a time, whose activations stay in the cache of a core.
_POINT_COST = 16


class ConvBlock(nn.Module):
    """relu(norm(W * h)) at every time point, (B, L, W) -> (B, L, W')."""

    def __init__(self, in_width: int, width: int, kernel_size: int) -> None:
        super().__init__()
        # No bias: the norm would take it away again.
        self.conv = nn.Conv1d(in_width, width, kernel_size, bias=False)
        self.norm = RowNorm(width)

    def rows(self, h: Tensor) -> Tensor:
        """Convolution before the norm, (B, L, W) -> (B L, W')."""
        (size,) = self.conv.kernel_size
        left, right = (size - 1) // 2, size // 2
        image = h.transpose(1, 2).unsqueeze(2)  # (B, W, 1, L)
        if left != right:
            image, left = F.pad(image, (left, right)), 0
        # conv2d, unlike conv1d, knows "channels last", where the norm, too, is faster: its
        # rows lie in memory as they are.
        image = F.conv2d(image, self.conv.weight.unsqueeze(2), None, 1, (0, left))
        return image.squeeze(2).transpose(1, 2).flatten(0, 1)

    def forward(self, h: Tensor) -> Tensor:
        activations = F.relu(self.norm(self.rows(h)), inplace=True)
        return activations.view(len(h), h.shape[1], -1)


class FCN(nn.Module):
    """Blocks of convolutions, mean over time or pixels, linear layer; its own task.

    Where a shape says (B, C, L) and (B, L, W), images have (B, C, H, W) and (B, H, W, features).

    Parameters
    ----------
    n_channels : int
        C.
    n_classes : int
        Classes.
    widths, kernel_sizes : list of int
        Of each block.
    size : sequence of int, optional
        (H, W) of images; None, or (L,), is for series of any length.
    """

    def __init__(
        self,
        n_channels: int,
        n_classes: int,
        widths: list[int],
        kernel_sizes: list[int],
        size: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        sides = [] if size is None or len(size) == 1 else list(size)
        self.scaler = Scaler(n_channels, "dataset", max(1, len(sides)))
        blocks: list[nn.Module] = []
        for before, width, kernel in zip([n_channels, *widths], widths, kernel_sizes, strict=False):
            if not sides:
                blocks.append(ConvBlock(before, width, kernel))
                continue
            # The first block sees images as they are.
            rows, columns = (2 if blocks and side > _SMALLEST_SIDE else 1 for side in sides)
            blocks.append(ImageBlock(before, width, kernel, (rows, columns)))
            sides = [-(-sides[0] // rows), -(-sides[1] // columns)]
        self.blocks = nn.ModuleList(blocks)
        self.head = nn.Linear(widths[-1], n_classes)

    def forward(
        self, x: Tensor, labels: Tensor, generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Cross-entropy in nats, mean over series (B, C, L) of classes (B,)."""
        return {"cross_entropy": F.cross_entropy(self.logits(x), labels)}

    def hidden(self, x: Tensor, depth: int) -> Tensor:
        """Activations after `depth` blocks, (B, C, L) -> (B, L, W)."""
        h = self.scaler(x).movedim(1, -1)
        for block in itertools.islice(self.blocks, depth):
            h = block(h)
        return h

    def features(self, x: Tensor) -> Tensor:
        """Global mean over time or pixels, (B, C, L) -> (B, W)."""
        return self.hidden(x, len(self.blocks)).flatten(1, -2).mean(1)

    def logits(self, x: Tensor) -> Tensor:
        return self.head(self.features(x))


class FCNClassifier(BaseClassifier):
    """Classifier of time series and images by a fully convolutional network.

    Three convolutions over time with batch normalisation, the mean over time, a linear layer:
    a strong baseline that needs no preparation of the data. `transform` gives the mean over
    time as features, in which `vqssl.evaluation` compares drawn with real series. For images
    the convolutions are two-dimensional, and the mean is over the pixels.

    Parameters
    ----------
    widths : tuple of int or "auto", default="auto"
        Channels of each convolution. The last is the number of features. "auto" is
        (128, 256, 128) for series and (64, 128, 128) for images.
    kernel_sizes : tuple of int or "auto", default="auto"
        Time points that each convolution sees, one per width; in images pixels along each side.
        "auto" is (8, 5, 3) for series and (5, 3, 3) for images, of other numbers of widths their
        beginning or the last repeated.
    lr : float, default=5e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero.
    max_iter : int or "auto", default="auto"
        Number of optimizer steps. "auto" is 64 passes over the training series, but at least 400
        steps and at most 1,200, and at least 20 for each class.
    batch_size : int, default=32
        Series per step, at most as many as there are.
    validation_fraction : float, default=0.0
        Share of the series held out, of each class alike. Above 0, training stops when the
        held-out loss has not fallen for ten periods, and the best weights are kept.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of training; predictions and features are always made in float32.
    checkpoint_dir : str, os.PathLike or None, default=None
        Folder for checkpoints, one `fit` at a time: after a crash, `fit` with the same
        parameters and series goes on from the last one, on the CPU to the same bits. It is
        removed at the end. `callbacks` start anew; `partial_fit` writes none.
    callbacks : list of skorch callbacks, default=None
        Called during training; copies are, the given ones stay as they are. An epoch is a
        period of up to 50 steps.
    net_params : dict, default=None
        Arguments for the skorch net, for example ``{"gradient_clip": 0.5}``. ``n_threads``
        is the number of CPU threads of training, 1 by default; another number rounds
        differently.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn. The same int gives the same bits on the CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per period.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        Labels that the training set has, sorted.
    model_ : torch.nn.Module
        The network, on the CPU in evaluation mode.
    history_ : dict of str to list
        ``step``, ``loss``, ``cross_entropy`` in nats and ``lr``, one entry per period.
    n_iter_ : int
        Number of steps taken.
    input_shape_ : tuple of int
        Shape of one training series.
    n_features_in_ : int
        Numbers in one training series.
    feature_names_in_ : ndarray of str
        Column names, where X was a data frame with string names.

    See Also
    --------
    vqssl.evaluation.evaluate_generator : Compares drawn and real series in these features.

    Notes
    -----
    The loss is the cross-entropy, mean over series. Series are standardised inside, by one
    mean and deviation per channel over the training set. Kernels are centred and the ends
    padded with zeros, one more at the right for an even kernel. Images are halved before the
    second and every later convolution, by the maximum over two by two pixels, along sides of more
    than four pixels, to save time. As published but for the optimizer (AdamW with a cosine for
    Adam with a plateau) and the budget, which is a number of steps here and 2000 passes there.
    Defaults were chosen on parts of the training sets of UCR sets. Three times as many steps as 400
    change nothing on sets of few series and classes, and are needed where there are many.

    After training, the mean and variance of every norm are taken anew over the training set
    (over 1024 series of a larger one), block by block, so that predictions do not depend on
    the order of the last batches (Wu and Johnson 2021, "Rethinking 'batch' in BatchNorm",
    section 3). With held-out series, and in `partial_fit`, they are moving averages instead, a
    tenth of a batch at a time. A batch of one time point in all, which has no variance, is
    normalised by the averages so far.

    References
    ----------
    Z. Wang, W. Yan, T. Oates, "Time series classification from scratch with deep neural
    networks: a strong baseline", IJCNN 2017, section II-B and figure 1(b).

    Examples
    --------
    >>> from vqssl import FCNClassifier
    >>> from vqssl.datasets import make_cylinder_bell_funnel
    >>> X, y = make_cylinder_bell_funnel(60, length=64, random_state=0)
    >>> classifier = FCNClassifier((16, 32, 16), max_iter=60, random_state=0)
    >>> classifier.fit(X, y).predict_proba(X).shape
    (60, 3)
    >>> classifier.transform(X).shape
    (60, 16)
    >>> classifier.score(X, y) > 0.9
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "widths": [tuple, list, str],
        "kernel_sizes": [tuple, list, str],
        **TorchEstimator._parameter_constraints,
        "max_iter": [numbers.Integral, str],
    }
    _shaping: ClassVar[tuple[str, ...]] = ("widths", "kernel_sizes")

    def __init__(
        self,
        widths: tuple[int, ...] | str = "auto",
        *,
        kernel_sizes: tuple[int, ...] | str = "auto",
        lr: float = 5e-3,
        max_iter: int | str = "auto",
        batch_size: int = 32,
        validation_fraction: float = 0.0,
        device: str | torch.device = "auto",
        precision: str = "float32",
        checkpoint_dir: str | os.PathLike[str] | None = None,
        callbacks: Any = None,
        net_params: dict[str, Any] | None = None,
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        self.widths = widths
        self.kernel_sizes = kernel_sizes
        self.lr = lr
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.validation_fraction = validation_fraction
        self.device = device
        self.precision = precision
        self.checkpoint_dir = checkpoint_dir
        self.callbacks = callbacks
        self.net_params = net_params
        self.random_state = random_state
        self.verbose = verbose

    def _count_steps(self, n_samples: int) -> int:
        least = max(_LEAST_STEPS, _STEPS_PER_CLASS * len(getattr(self, "classes_", ())))
        budget = Budget(_PASSES, least, max(least, _MOST_STEPS))
        return budget.steps(self.max_iter, n_samples, self._whole_batch_size)

    def _check_parameters(self) -> None:
        for name in ("widths", "kernel_sizes"):
            given = getattr(self, name)
            if isinstance(given, str):
                if given != "auto":
                    raise ValueError(
                        f"{name} must be 'auto' or a tuple of integers; got {given!r}."
                    )
                continue
            for size in given:
                check_count(size, name)
        if self.widths == "auto" and self.kernel_sizes == "auto":
            return
        n_widths = len(_WIDTHS[1] if isinstance(self.widths, str) else self.widths)
        n_sizes = n_widths if isinstance(self.kernel_sizes, str) else len(self.kernel_sizes)
        if not n_widths == n_sizes > 0:
            raise ValueError(
                "kernel_sizes must have as many entries as widths, at least one; got "
                f"kernel_sizes={self.kernel_sizes!r} and widths={self.widths!r}."
            )

    def _build(self) -> FCN:
        n_channels, *size = self._series_shape
        widths = _WIDTHS[len(size)] if isinstance(self.widths, str) else self.widths
        if isinstance(self.kernel_sizes, str):
            known = _KERNELS[len(size)]
            kernels = [known[min(i, len(known) - 1)] for i in range(len(widths))]
        else:
            kernels = [int(kernel) for kernel in self.kernel_sizes]
        return FCN(n_channels, len(self.classes_), [int(width) for width in widths], kernels, size)

    def _start(self, model: nn.Module, series: np.ndarray, generator: torch.Generator) -> None:
        assert isinstance(model, FCN)
        model.scaler.start(series)

    def _finish(self, series: np.ndarray, generator: torch.Generator, go_on: bool) -> None:
        # Weights that were validated are kept with the statistics that they had then.
        if go_on or "valid_loss" in self.history_:
            return
        order = torch.randperm(len(series), generator=generator)[:_NORM_SAMPLE].numpy()
        series = series[np.sort(order)]
        for depth, block in enumerate(self.model_.blocks):
            mean, variance = self._row_statistics(series, depth)
            block.norm.running_mean.copy_(mean)
            block.norm.running_var.copy_(variance)

    def _row_statistics(self, series: np.ndarray, depth: int) -> tuple[Tensor, Tensor]:
        """Mean and variance (W,) of the rows that the norm of a block gets, in float64."""

        def of_batch(
            model: Any, x: Tensor, place: slice, fewest: int
        ) -> tuple[Tensor, Tensor, int]:
            rows = model.blocks[depth].rows(model.hidden(x, depth)).double()
            return rows.mean(0).cpu(), rows.var(0, correction=0).cpu(), len(rows)

        with torch.inference_mode():
            found = [moments for _, moments in self._by_batches(of_batch, series)]
        means, squares, counts = zip(*found, strict=True)
        share = torch.tensor(counts, dtype=torch.float64).unsqueeze(1) / sum(counts)
        mean = (share * torch.stack(means)).sum(0)
        variance = (share * (torch.stack(squares) + (torch.stack(means) - mean) ** 2)).sum(0)
        return mean, variance

    def _row_cost(self) -> int:
        n_channels, *size = self._series_shape
        return math.prod(size) * max(n_channels, _POINT_COST)
