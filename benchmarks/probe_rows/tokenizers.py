"""Methods `vq` and `ssl`: the tokenizers, each fitted once for three readouts."""

from typing import Any

import numpy as np

from probe_rows.method import Fitted, Method, Transform
from vqssl import SSLVQTokenizer, VQTokenizer

OUTPUTS = ("features", "histogram", "latent")


def method(name: str, kind: type[VQTokenizer] | type[SSLVQTokenizer]) -> Method:
    """Method `name` with lines ``<name>-features`` and so on."""

    def fit(X: np.ndarray, seed: int, parameters: dict[str, Any]) -> Fitted:
        tokenizer = kind(random_state=seed).set_params(**parameters).fit(X)

        def reader(output: str) -> Transform:
            return lambda series: tokenizer.set_params(output=output).transform(series)

        return Fitted(
            {f"{name}-{output}": reader(output) for output in OUTPUTS},
            perplexity=float(tokenizer.perplexity_[0]),
            usage=len(np.unique(tokenizer.encode(X))) / len(tokenizer.codebook_),
            reconstruction=lambda series: float(tokenizer.score(series)),
        )

    lines = tuple(f"{name}-{output}" for output in OUTPUTS)
    return Method(lines, fit, probe="chosen", takes_parameters=True)


VQ = method("vq", VQTokenizer)
SSL = method("ssl", SSLVQTokenizer)
