"""Reports: pages that say what fitted estimators have learned; reached by `vqssl.evaluation`."""

from vqssl.reports._report import report

__all__ = ["report"]
