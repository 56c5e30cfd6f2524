"""Autoencoders with continuous codes: one vector per series."""

from vqssl.autoencoders._ae import AutoEncoder
from vqssl.autoencoders._base import BaseAutoEncoder
from vqssl.autoencoders._vae import VAE

__all__ = ["VAE", "AutoEncoder", "BaseAutoEncoder"]
