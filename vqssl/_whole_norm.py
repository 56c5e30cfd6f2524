"""Batch normalisation over the rows of all processes that share a batch."""

import contextlib
import functools
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.modules.batchnorm import _BatchNorm

from vqssl._share import count_all, current_share, total


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`torch.nn.functional.batch_norm` in training, of the rows of all processes.

    Parameters
    ----------
    x : Tensor of shape (R, W) or (R, W, ...)
        R rows, as many for each row of the batch.
    running_mean, running_var : Tensor of shape (W,) or None
        Changed in place.
    weight, bias : Tensor of shape (W,) or None
    momentum : float, default=0.1
        Weight of this batch in the running statistics.
    eps : float, default=1e-5
        Added to the variance.

    Returns
    -------
    normalised : Tensor of the shape of x
    """
    if current_share() is None:
        return F.batch_norm(
            x, running_mean, running_var, weight, bias, True, momentum=momentum, eps=eps
        )
    axes = [axis for axis in range(x.ndim) if axis != 1]
    shape = [1, -1, *[1] * (x.ndim - 2)]
    dtype = x.dtype
    x = x.float() if dtype in (torch.bfloat16, torch.float16) else x
    n = count_all(len(x)) * x[0, 0].numel()
    mean = total(x.sum(axes)) / n  # (W,)
    centred = x - mean.view(shape)
    variance = total(centred.square().sum(axes)) / n
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean), momentum)
            running_var.lerp_((variance * (n / (n - 1))).to(running_var), momentum)
    result = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None:
        result = result * weight.view(shape)
    if bias is not None:
        result = result + bias.view(shape)
    return result.to(dtype)


def _forward(module: _BatchNorm, x: Tensor) -> Tensor:
    """What stands for the `forward` of torch's module."""
    if not module.training or current_share() is None:
        return type(module).forward(module, x)
    module._check_input_dim(x)
    momentum = module.momentum
    if module.num_batches_tracked is not None and module.running_mean is not None:
        module.num_batches_tracked.add_(1)
        if momentum is None:
            momentum = 1 / float(module.num_batches_tracked)
    return batch_norm(
        x,
        module.running_mean,
        module.running_var,
        module.weight,
        module.bias,
        0.0 if momentum is None else momentum,
        module.eps,
    )


@contextlib.contextmanager
def whole_norms(task: nn.Module) -> Iterator[None]:
    """Let torch's batch normalisations take their statistics from the rows of all processes.

    Those inside of a module with a true attribute ``sees_whole_batch``, which is given all rows,
    are left alone.
    """
    norms = list(_norms_of(task))
    try:
        for norm in norms:
            norm.forward = functools.partial(_forward, norm)  # type: ignore[method-assign]
        yield
    finally:
        for norm in norms:
            del norm.forward


def _norms_of(module: nn.Module) -> Iterator[_BatchNorm]:
    if getattr(module, "sees_whole_batch", False):
        return
    if isinstance(module, _BatchNorm):
        yield module
    for child in module.children():
        yield from _norms_of(child)
