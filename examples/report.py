"""
What has my model learned, and what should I mend?
==================================================

Power demand of Italy, a day of 24 hours to a series, cold days and warm ones. A tokenizer and a
prior are fitted in few steps; a report says on one page what came out, and begins with what it
would mend, such as codes that are not used or series that are drawn too rarely. Writes
``report.html``, a single file that can be opened, sent and printed.
"""

import numpy as np
from aeon.datasets import load_italy_power_demand
from sklearn.frozen import FrozenEstimator

from vqssl import MaskGITGenerator, VQTokenizer
from vqssl.evaluation import report

X, y = load_italy_power_demand(split="train")  # (67, 1, 24)
X_test, y_test = load_italy_power_demand(split="test")  # (1029, 1, 24)
y, y_test = (np.where(labels == "1", "cold", "warm") for labels in (y, y_test))

tokenizer = VQTokenizer(n_codes=64, max_iter=300, random_state=0).fit(X)
generator = MaskGITGenerator(FrozenEstimator(tokenizer), max_iter=300, random_state=0).fit(X, y)

# %%
# One call; every section applies that the generator has something to say to.

path = report(
    *(generator, X, y, X_test, y_test),
    path="report.html",
    title="Power demand of Italy",
    random_state=0,
)
print(f"Page: {path}, {path.stat().st_size / 1e6:.1f} MB. Open it in a browser.")
