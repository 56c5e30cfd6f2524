"""
How do I watch training in MLflow or TensorBoard?
=================================================

Callbacks of skorch see every period of a fit, up to 50 steps. skorch has one for TensorBoard; one
for MLflow is a few lines. Both write to local files, nothing is sent anywhere. Needs MLflow and
TensorBoard: ``pip install mlflow tensorboard``.
"""

import tempfile
from pathlib import Path

import mlflow
import numpy as np
from skorch.callbacks import Callback, TensorBoard
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from vqssl import SSLVQTokenizer
from vqssl.datasets import make_cylinder_bell_funnel

X, y = make_cylinder_bell_funnel(200, length=64, random_state=0)
folder = Path(tempfile.mkdtemp())

# %%
# MLflow: parameters at the start, the loss and its terms at every period, the score and the file of
# the model at the end.


class LogToMLflow(Callback):
    """Write every number of a period to the run that is active."""

    def on_epoch_end(self, net, **kwargs):
        row = net.history[-1]
        numbers = {name: value for name, value in row.items() if isinstance(value, float)}
        mlflow.log_metrics(numbers, step=row["step"])


mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
mlflow.create_experiment("tokenizers", artifact_location=(folder / "artifacts").as_uri())
mlflow.set_experiment("tokenizers")
for ssl in ("vicreg", "infonce"):
    tokenizer = SSLVQTokenizer(
        ssl=ssl, max_iter=80, validation_fraction=0.2, callbacks=[LogToMLflow()], random_state=0
    )
    with mlflow.start_run(run_name=ssl):
        mlflow.log_params(tokenizer.get_params())
        tokenizer.fit(X)
        mlflow.log_metric("score", tokenizer.score(X))
        # A file holds no objects of other libraries, callbacks among them.
        tokenizer.set_params(callbacks=None).save(folder / "tokenizer.vqssl")
        mlflow.log_artifact(folder / "tokenizer.vqssl")

runs = mlflow.search_runs(output_format="list")
for run in runs:
    metrics = run.data.metrics
    print(
        f"MLflow, {run.info.run_name}: score {metrics['score']:.3f}, "
        f"held-out loss {metrics['valid_loss']:.3f}, {len(metrics)} metrics"
    )

# %%
# TensorBoard: the callback is skorch's own. Open it with ``tensorboard --logdir ...``.

writer = SummaryWriter(folder / "tensorboard")
tokenizer = SSLVQTokenizer(max_iter=80, callbacks=[TensorBoard(writer)], random_state=0).fit(X)

events = EventAccumulator(str(folder / "tensorboard")).Reload()
print("\nTensorBoard:", *sorted(events.Tags()["scalars"]))
losses = [event.value for event in events.Scalars("Loss/train_loss")]
print(f"{len(losses)} periods, loss from {losses[0]:.3f} to {losses[-1]:.3f};")
print("history_ of the tokenizer has the same:", np.allclose(losses, tokenizer.history_["loss"]))
