"""A linear backbone: with it a VAE is probabilistic PCA, whose posterior is known."""

from torch import Tensor, nn

from vqssl.backbones import Backbone


class LinearEncoder(nn.Module):
    """One token for the whole series, (B, C, L) -> (B, 1, D)."""

    def __init__(self, n_points: int, code_dim: int) -> None:
        super().__init__()
        self.linear = nn.Linear(n_points, code_dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(x.flatten(1)).unsqueeze(1)


class LinearDecoder(nn.Module):
    """(B, 1, D) -> (B, C, L)."""

    def __init__(self, shape: tuple[int, int], code_dim: int) -> None:
        super().__init__()
        self.shape = shape
        self.linear = nn.Linear(code_dim, shape[0] * shape[1])

    def forward(self, z: Tensor) -> Tensor:
        return self.linear(z.flatten(1)).unflatten(1, self.shape)


class LinearBackbone(Backbone):
    """Needs a compression of the whole length."""

    def build(
        self, n_channels: int, length: int, code_dim: int, compression: int
    ) -> tuple[nn.Module, nn.Module]:
        assert compression >= length
        points = n_channels * length
        return LinearEncoder(points, code_dim), LinearDecoder((n_channels, length), code_dim)
