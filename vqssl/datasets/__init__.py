"""Datasets: seeded generators of series with known classes or factors, and series from files."""

from vqssl.datasets._control_charts import make_control_charts
from vqssl.datasets._cylinder_bell_funnel import make_cylinder_bell_funnel
from vqssl.datasets._factors import FACTOR_VALUES, make_factor_series, series_from_factors
from vqssl.datasets._read import read_series
from vqssl.datasets._stream import iter_series
from vqssl.datasets._two_patterns import make_two_patterns

__all__ = [
    "FACTOR_VALUES",
    "iter_series",
    "make_control_charts",
    "make_cylinder_bell_funnel",
    "make_factor_series",
    "make_two_patterns",
    "read_series",
    "series_from_factors",
]
