"""Joint-embedding losses: two views of a batch in, named terms out."""

from vqssl.losses._barlow_twins import BarlowTwins
from vqssl.losses._base import SSLLoss
from vqssl.losses._infonce import InfoNCE
from vqssl.losses._vibcreg import VIbCReg
from vqssl.losses._vicreg import VICReg

LOSSES: dict[str, type[SSLLoss]] = {
    "barlow_twins": BarlowTwins,
    "infonce": InfoNCE,
    "vibcreg": VIbCReg,
    "vicreg": VICReg,
}

__all__ = ["LOSSES", "BarlowTwins", "InfoNCE", "SSLLoss", "VICReg", "VIbCReg"]
