"""
How do I keep a model, and what if training is cut short?
=========================================================

A file without pickle holds a fitted estimator; what is loaded from it gives the same bits, and a
damaged file is refused. A folder for checkpoints lets a fit that was stopped go on where it was.
"""

import os
import tempfile
from pathlib import Path

import numpy as np
from sklearn.base import clone
from skorch.callbacks import Callback

import vqssl
from vqssl import MaskGITGenerator, VQTokenizer
from vqssl.backbones import ConvBackbone
from vqssl.datasets import make_cylinder_bell_funnel

X, y = make_cylinder_bell_funnel(120, length=64, random_state=0)
folder = Path(tempfile.mkdtemp())

generator = MaskGITGenerator(VQTokenizer(n_codes=32, max_iter=60), max_iter=60, random_state=0)
generator.fit(X, y)

# %%
# One file, with the tokenizer inside. Loading executes nothing of what is in it.

path = folder / "generator.vqssl"
generator.save(path)
loaded = vqssl.load(path)
same = np.array_equal(
    loaded.sample(5, y="bell", random_state=1), generator.sample(5, y="bell", random_state=1)
)
print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB; the same series are drawn: {same}")

# %%
# A checksum covers every byte.

content = bytearray(path.read_bytes())
content[len(content) // 2] ^= 1
path.write_bytes(content)
try:
    vqssl.load(path)
except ValueError as error:
    print(f"One bit turned: {str(error).replace(str(folder), '...')}")

# %%
# A fit that is stopped, here by a callback in the place of Ctrl-C or a crash. Checkpoints are
# written every ten periods of up to 50 steps, or once a minute. The same call goes on from the last
# one, and ends on the same bits as a fit that was never stopped.


seen = []


class StopOnce(Callback):
    """Note every period, and stop at the end of the twelfth, the first time."""

    def on_epoch_end(self, net, **kwargs):
        seen.append(len(net.history))
        if seen[-1] == 12 and seen.count(12) == 1:
            raise KeyboardInterrupt


plain = VQTokenizer(n_codes=32, backbone=ConvBackbone(width=16), max_iter=500, random_state=0)
guarded = clone(plain).set_params(checkpoint_dir=folder / "fit", callbacks=[StopOnce()])
try:
    guarded.fit(X)
except KeyboardInterrupt:
    print(f"Stopped in period {seen[-1]}. The folder holds", *os.listdir(folder / "fit"))
n_seen = len(seen)
guarded.fit(X)
print("The same call again trained the periods", *seen[n_seen:])
same = np.array_equal(guarded.codebook_, plain.fit(X).codebook_)
print(f"The same codebook as without a stop: {same}")
