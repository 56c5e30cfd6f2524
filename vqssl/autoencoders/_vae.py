"""Variational autoencoder (Kingma and Welling 2014; beta: Higgins et al. 2017)."""

import math
import numbers
import os
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state
from torch import Tensor

from vqssl._base import TorchEstimator
from vqssl._posterior import count_active
from vqssl._seed import spawn_seeds
from vqssl._validation import check_count, check_weight, warn_user
from vqssl.autoencoders._base import BaseAutoEncoder
from vqssl.autoencoders._hamiltonian import hamiltonian_monte_carlo
from vqssl.autoencoders._variational import (
    Noise,
    VariationalModel,
    log_normal,
    matched_points,
)
from vqssl.backbones import Backbone

COVARIANCES = ("diagonal", "full")
METHODS = ("amortised", "mcmc")

# Chains that end where fewer proposals than this share are accepted have hardly moved.
_LOW_ACCEPTANCE = 0.3


class VAE(BaseAutoEncoder):
    """Variational autoencoder of series and images (VAE; with ``beta``, beta-VAE).

    A probabilistic model, z ~ N(0, I) and x | z ~ N(decoder(z), noise^2 I), with an encoder
    that gives a Gaussian in place of the posterior of z. It embeds series, draws new ones, and
    says how likely one is.

    Parameters
    ----------
    latent_dim : int, default=16
        Z, dimension of the latent.
    beta : float, default=1.0
        Weight of the KL in training, at least 0. 1 is the evidence lower bound; more presses
        dimensions to be independent and unused ones to the prior; 0 leaves an autoencoder.
    noise : float or "learned", default="learned"
        Deviation of the likelihood in units of the scaled series, the same for all channels and
        time points. A small one weighs the reconstruction more against the KL, as a small
        `beta` does.
    covariance : {"diagonal", "full"}, default="diagonal"
        Of the Gaussian that the encoder gives: "full" through its Cholesky factor.
    backbone : str or Backbone, default="conv"
        Encoder and decoder: a key of `vqssl.backbones.BACKBONES` or a part.
    compression : int or "auto", default="auto"
        Time points per token of the backbone. "auto" is 2 for series of up to 64 points, 4 for
        up to 512, and beyond that as many as give about 128 tokens. Of images, pixels per token
        along each side: 2 where the longer one has up to 16 pixels, 4 up to 64, and beyond that
        as many as give 16 tokens along it.
    scaling : {"dataset", "series"} or None, default="dataset"
        Standardisation of the input. "dataset": by one mean and deviation per channel over the
        training set, undone on the way out. "series": each series and channel by its own; on
        the way out the training set's average mean and deviation are put in their place. None:
        the input is taken as it is.
    lr : float, default=2e-3
        Largest learning rate of AdamW; it warms up and then follows a cosine to zero. That of
        the noise is ten times as large.
    max_iter : int, default=1000
        Number of optimizer steps.
    batch_size : int, default=32
        Series per step, at most as many as there are.
    validation_fraction : float, default=0.0
        Share of the series held out, where there are four or more. Above 0, training stops when the
        held-out loss has not fallen for ten periods, and the best weights are kept.
    device : str or torch.device, default="auto"
        "auto" is CUDA where there is one, else the CPU.
    precision : {"float32", "bfloat16"}, default="float32"
        Arithmetic of training; what comes after is in float32 or float64.
    checkpoint_dir : str, os.PathLike or None, default=None
        Folder for checkpoints, one `fit` at a time: after a crash, `fit` with the same
        parameters and series goes on from the last one, on the CPU to the same bits. It is
        removed at the end. `callbacks` start anew; `partial_fit` writes none.
    callbacks : list of skorch callbacks, default=None
        Called during training; copies are, the given ones stay as they are. An epoch is a
        period of up to 50 steps.
    net_params : dict, default=None
        Arguments for the skorch net, for example ``{"gradient_clip": 0.5}``. ``n_threads`` is
        the number of CPU threads of training, 1 by default; another number rounds differently.
    random_state : int, RandomState instance or None, default=None
        Decides everything that is drawn in `fit`. The same int gives the same bits on the CPU.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per period.

    Attributes
    ----------
    model_ : torch.nn.Module
        The network, on the CPU in evaluation mode.
    noise_ : float
        Deviation of the likelihood, in units of the scaled series.
    kl_per_dimension_ : ndarray of shape (latent_dim,), float64
        KL in nats between the encoder's Gaussian in one dimension and N(0, 1), mean over the
        training set (10,000 series of a larger one).
    active_units_ : int
        Dimensions in which the mean of the encoder's Gaussian varies by more than .01 over the
        training set.
    latent_mean_, latent_deviation_ : ndarray of shape (latent_dim,), float32
        Mean and deviation of the latents of the training set.
    history_ : dict of str to list
        ``step``, ``loss``, ``reconstruction`` (negative log-likelihood), ``kl`` (times `beta`),
        both in nats per scaled series, and ``lr``, one entry per period.
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
    AutoEncoder : Without a prior.
    vqssl.MaskGITGenerator : Draws series by discrete codes.

    Notes
    -----
    The loss is the negative evidence lower bound, its likelihood summed over the elements of a
    series with all constants, its KL summed over dimensions, mean over series::

        -E_q log p(x | z) + beta KL(q(z | x) || N(0, I))

    A mean squared error in place of the sum would multiply beta by the number of elements.
    Likelihoods are densities of series in the units of `X`, as those of
    `sklearn.mixture.GaussianMixture`; with ``scaling="series"``, which has no inverse, of the
    scaled ones.

    A learned deviation of the noise is kept between exp(-10) and exp(10) of the data's, and so
    are those of the encoder.

    References
    ----------
    .. [1] D. P. Kingma, M. Welling, "Auto-Encoding Variational Bayes", ICLR 2014, equation 3.
    .. [2] I. Higgins et al., "beta-VAE: Learning Basic Visual Concepts with a Constrained
       Variational Framework", ICLR 2017, equation 4.
    .. [3] Y. Burda, R. Grosse, R. Salakhutdinov, "Importance Weighted Autoencoders", ICLR 2016,
       equation 8.
    .. [4] O. Rybkin, K. Daniilidis, S. Levine, "Simple and Effective VAE Training with
       Calibrated Decoders", ICML 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from vqssl import VAE
    >>> t = np.linspace(0, 6, 40)
    >>> X = np.sin(t + np.linspace(0, 3, 100)[:, None])
    >>> vae = VAE(latent_dim=2, max_iter=200, random_state=0).fit(X)
    >>> vae.sample(5, random_state=0).shape
    (5, 40)
    >>> bool(vae.score(X) <= vae.log_likelihood(X, n_draws=50).mean())
    True
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **BaseAutoEncoder._own_types,
        "beta": [numbers.Real],
        "noise": [numbers.Real, str],
        "covariance": [str],
        **TorchEstimator._parameter_constraints,
    }
    _shaping: ClassVar[tuple[str, ...]] = (*BaseAutoEncoder._shaping, "beta", "noise", "covariance")

    def __init__(
        self,
        latent_dim: int = 16,
        *,
        beta: float = 1.0,
        noise: float | str = "learned",
        covariance: str = "diagonal",
        backbone: str | Backbone = "conv",
        compression: int | str = "auto",
        scaling: str | None = "dataset",
        lr: float = 2e-3,
        max_iter: int = 1000,
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
        self.latent_dim = latent_dim
        self.beta = beta
        self.noise = noise
        self.covariance = covariance
        self.backbone = backbone
        self.compression = compression
        self.scaling = scaling
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

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_weight(self.beta, "beta")
        if isinstance(self.noise, str):
            if self.noise != "learned":
                raise ValueError(
                    f"noise must be 'learned' or a finite number above 0; got {self.noise!r}."
                )
        else:
            check_weight(self.noise, "noise", positive=True)
        if self.covariance not in COVARIANCES:
            raise ValueError(f"covariance must be 'diagonal' or 'full'; got {self.covariance!r}.")

    def _build(self) -> VariationalModel:
        fixed = None if self.noise == "learned" else float(self.noise)
        return VariationalModel(
            *self._networks(), int(self.latent_dim), self.covariance, Noise(fixed), float(self.beta)
        )

    def _finish(self, series: np.ndarray, generator: torch.Generator, go_on: bool) -> None:
        super()._finish(series, generator, go_on)
        self.noise_ = float(self.model_.noise().exp())
        self._bound_points = matched_points(self._latent_size, generator)
        kl = self._inference(
            lambda model, x: model.posterior(model.scaler(x)).kl_by_dimension(), series
        )
        self.kl_per_dimension_ = kl.mean(0, dtype=np.float64)
        self.active_units_ = int(count_active(self.latent_deviation_**2))

    # What the model says of series ----------------------------------------------------------

    def posterior(self, X: Any) -> tuple[np.ndarray, np.ndarray]:
        """Return the Gaussians that the encoder gives.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        mean : ndarray of shape (n_samples, latent_dim), float32
            What `transform` returns.
        variance : ndarray of shape (n_samples, latent_dim), float32
            With ``covariance="full"`` the covariances, (n_samples, latent_dim, latent_dim).

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        series = self._series(X)
        mean = self._inference(lambda model, x: model.latent(x), series)

        def second_moment(model: VariationalModel, x: Tensor) -> Tensor:
            factor = model.posterior(model.scaler(x)).factor
            return factor.square() if factor.ndim == 2 else factor @ factor.mT

        return mean, self._inference(second_moment, series)

    def score_samples(self, X: Any) -> np.ndarray:
        """Return the evidence lower bound of every series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.

        Returns
        -------
        bound : ndarray of shape (n_samples,), float64
            Nats per series, whatever `beta` is. The likelihood is averaged over points with the
            mean and the covariance of the encoder's Gaussian, 2 max(8, latent_dim) of them,
            drawn in `fit` and the same for all series; where the decoder is linear that is the
            expectation. With ``scaling="series"`` of series scaled one by one.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        series = self._series(X)
        # A copy, below: joblib may map the array from a file that cannot be written to.
        points = self._bound_points

        def bound(model: VariationalModel, x: Tensor) -> Tensor:
            scaled = model.scaler(x)
            posterior = model.posterior(scaled)
            total = -posterior.kl()
            for unit in torch.tensor(points).to(total):
                total = total + model.log_likelihood(scaled, posterior.at(unit)) / len(points)
            return total - x[0, 0].numel() * model.log_volume()

        return self._inference(bound, series, double=True)

    def score(self, X: Any, y: Any = None) -> float:
        """Return the mean evidence lower bound.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        y : None
            Ignored; here for scikit-learn's pipelines.

        Returns
        -------
        score : float
            Nats per series, see `score_samples`.

        Raises
        ------
        NotFittedError
            Before `fit`.
        ValueError, TypeError
            If `X` is not acceptable, or has series of another shape than `fit` saw.
        """
        return float(self.score_samples(X).mean())

    def log_likelihood(self, X: Any, n_draws: int = 100, *, random_state: Any = None) -> np.ndarray:
        """Return the importance-weighted bound of log p(x), which rises to it with the draws.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        n_draws : int, default=100
            Latents drawn from the encoder's Gaussian, the same unit draws for all series; the
            bound of one draw is an estimate of the evidence lower bound.
        random_state : int, RandomState instance or None, default=None
            Decides the draws.

        Returns
        -------
        bound : ndarray of shape (n_samples,), float64
            Nats per series: the logarithm of the mean over draws of
            p(x | z) p(z) / q(z | x) (Burda et al. 2016, equation 8).

        Raises
        ------
        ValueError, TypeError
            If `n_draws` is no integer of at least 1.
        """
        n_draws = check_count(n_draws, "n_draws")
        series = self._series(X)
        rng = check_random_state(random_state)
        draws = rng.standard_normal((n_draws, self._latent_size))

        def bound(model: VariationalModel, x: Tensor) -> Tensor:
            scaled = model.scaler(x)
            posterior = model.posterior(scaled)
            total = torch.full_like(posterior.mean[:, 0], -math.inf)
            for unit in torch.from_numpy(draws).to(total):
                z = posterior.at(unit)
                weight = (
                    model.log_likelihood(scaled, z) + log_normal(z) - posterior.log_density(unit)
                )
                total = torch.logaddexp(total, weight)
            return total - math.log(n_draws) - x[0, 0].numel() * model.log_volume()

        return self._inference(bound, series, double=True)

    # What the model draws -------------------------------------------------------------------

    def sample(
        self, n_samples: int = 1, *, add_noise: bool = True, random_state: Any = None
    ) -> np.ndarray:
        """Draw series from the model: latents from the prior, then what the decoder makes of them.

        Parameters
        ----------
        n_samples : int, default=1
            Number of series.
        add_noise : bool, default=True
            Whether the noise of the likelihood is part of the series; else they are its means,
            smoother than the data.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn. The first series of a seed are the same for any number.

        Returns
        -------
        X : ndarray of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width), float32
            Series of the fitted shape, in the units of the training series.

        Raises
        ------
        ValueError, TypeError
            If `n_samples` is no integer of at least 1.
        """
        self._check_is_fitted()
        n_samples = check_count(n_samples, "n_samples")
        latent_seed, noise_seed = spawn_seeds(random_state, 2)
        Z = np.random.RandomState(latent_seed).standard_normal((n_samples, self._latent_size))
        means = self._decode(Z.astype(np.float32))
        return self._with_noise(means, noise_seed) if add_noise else means

    def sample_posterior(
        self,
        X: Any,
        n_draws: int = 1,
        *,
        method: str = "amortised",
        n_transitions: int = 100,
        random_state: Any = None,
    ) -> np.ndarray:
        """Draw latents of series.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        n_draws : int, default=1
            Latents per series.
        method : {"amortised", "mcmc"}, default="amortised"
            "amortised" draws from the encoder's Gaussian. "mcmc" draws from p(z | x) itself,
            whatever its form and whatever `beta` was, by Hamiltonian Monte Carlo that starts
            there: one chain per draw, so that draws are independent. It takes eight gradients
            of the decoder per transition and draw.
        n_transitions : int, default=100
            Of each chain, of "mcmc"; the first half adapts the step size of each series.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn.

        Returns
        -------
        Z : ndarray of shape (n_draws, n_samples, latent_dim), float32

        Raises
        ------
        ValueError, TypeError
            If `n_draws`, `method` or `n_transitions` is not acceptable.

        Warns
        -----
        ConvergenceWarning
            If chains ended with fewer than three of ten proposals accepted.
        """
        n_draws = check_count(n_draws, "n_draws")
        n_transitions = check_count(n_transitions, "n_transitions", minimum=2)
        if method not in METHODS:
            raise ValueError(f"method must be 'amortised' or 'mcmc'; got {method!r}.")
        series = self._series(X)
        rng = np.random.RandomState(spawn_seeds(random_state, 1)[0])
        unit = rng.standard_normal((n_draws, len(series), self._latent_size))
        if method == "mcmc":
            unit, acceptance = hamiltonian_monte_carlo(
                lambda points: self._joint_density(series, points), unit, n_transitions, rng
            )
            stuck = int((acceptance < _LOW_ACCEPTANCE).sum())
            if stuck:
                warn_user(
                    f"{stuck} of {len(series)} series had fewer than {_LOW_ACCEPTANCE:.0%} of "
                    "their proposals accepted; raise n_transitions.",
                    ConvergenceWarning,
                )
        return self._at(series, unit).astype(np.float32)

    def sample_predictive(
        self,
        X: Any,
        n_draws: int = 1,
        *,
        method: str = "amortised",
        n_transitions: int = 100,
        add_noise: bool = True,
        random_state: Any = None,
    ) -> np.ndarray:
        """Draw series that the posterior of given ones predicts.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_timepoints), \
(n_samples, n_channels, n_timepoints) or (n_samples, n_channels, height, width)
            Series of the fitted shape.
        n_draws : int, default=1
            Series per series of `X`.
        method : {"amortised", "mcmc"}, default="amortised"
            How latents are drawn, see `sample_posterior`.
        n_transitions : int, default=100
            Of each chain, of "mcmc".
        add_noise : bool, default=True
            Whether the noise of the likelihood is part of the series.
        random_state : int, RandomState instance or None, default=None
            Decides what is drawn.

        Returns
        -------
        X : ndarray of shape (n_draws, n_samples, ...), float32
            Series of the fitted shape, in the units of the training series.

        Raises
        ------
        ValueError, TypeError
            If `n_draws`, `method` or `n_transitions` is not acceptable.

        Warns
        -----
        ConvergenceWarning
            If chains ended with fewer than three of ten proposals accepted.
        """
        latent_seed, noise_seed = spawn_seeds(random_state, 2)
        Z = self.sample_posterior(
            X, n_draws, method=method, n_transitions=n_transitions, random_state=latent_seed
        )
        means = self._decode_grid(Z)
        return self._with_noise(means, noise_seed) if add_noise else means

    def _with_noise(self, means: np.ndarray, seed: int) -> np.ndarray:
        drawn = np.random.RandomState(seed).standard_normal(means.shape).astype(np.float32)
        scaler = self.model_.scaler
        # (C, 1), of images (C, 1, 1)
        units = 1.0 if scaler.scaling is None else scaler.deviation.numpy()
        series = drawn.reshape(-1, *self._series_shape) * (self.noise_ * units)
        return means + series.reshape(means.shape)

    def _at(self, series: np.ndarray, unit: np.ndarray) -> np.ndarray:
        """Latents mean + L u of series, for u (n_draws, n, Z)."""
        result = np.empty(unit.shape)

        def latents(model: Any, x: Tensor, place: slice, fewest: int) -> Tensor:
            posterior = model.posterior(model.scaler(x))
            return posterior.at(torch.from_numpy(unit[:, place]).to(x)).cpu()

        with torch.inference_mode():
            for place, found in self._by_batches(latents, series, double=True):
                result[:, place] = found
        return result

    def _joint_density(self, series: np.ndarray, unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logarithm of p(x, z) at z = mean + L u up to a constant, and its gradient in u."""
        density, gradient = np.empty(unit.shape[:2]), np.empty(unit.shape)

        def of_batch(model: Any, x: Tensor, place: slice, fewest: int) -> tuple[Tensor, Tensor]:
            with torch.no_grad():
                scaled = model.scaler(x)
                posterior = model.posterior(scaled)
            joints, slopes = [], []
            # Draws of a series are rows of the decoder, too.
            n_once = max(1, self._rows_at_once(x.device) // len(x))
            for u in torch.from_numpy(unit[:, place]).split(n_once):
                u = u.to(x).requires_grad_()
                z = posterior.at(u)
                n_draws, ones = len(u), [1] * (x.ndim - 1)
                joint = (
                    model.log_likelihood(scaled.repeat(n_draws, *ones), z.flatten(0, 1))
                    + log_normal(z).flatten()
                )
                slopes.append(torch.autograd.grad(joint.sum(), u)[0].cpu())
                joints.append(joint.detach().unflatten(0, (n_draws, -1)).cpu())
            return torch.cat(joints), torch.cat(slopes)

        with torch.inference_mode(False), torch.enable_grad():
            for place, found in self._by_batches(of_batch, series, double=True):
                density[:, place], gradient[:, place] = found
        return density, gradient
