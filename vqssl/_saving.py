"""Saving: the method by which an estimator is written to a file."""

from typing import Any

from sklearn.base import BaseEstimator

from vqssl._persistence import write_file
from vqssl._tree import to_tree


class Saving(BaseEstimator):
    """Base of estimators that `vqssl.load` reads."""

    def save(self, path: Any) -> None:
        """Write the estimator, fitted or not, to one file, without pickle.

        Parameters
        ----------
        path : str or os.PathLike
            The file; an existing one is replaced at once, when the new one is complete. A
            link is followed.

        Raises
        ------
        TypeError
            If a parameter holds an object that a file cannot hold, such as a callback.
        OSError
            If `path` is a folder or read-only, or the disk is full. What was there before stays.

        See Also
        --------
        vqssl.load : Reads it again.
        """
        write_file(path, *to_tree(self))
