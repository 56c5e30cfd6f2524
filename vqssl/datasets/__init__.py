"""Datasets: seeded generators of labelled series, for examples, tests and first trials."""

from vqssl.datasets._control_charts import make_control_charts
from vqssl.datasets._cylinder_bell_funnel import make_cylinder_bell_funnel
from vqssl.datasets._two_patterns import make_two_patterns

__all__ = ["make_control_charts", "make_cylinder_bell_funnel", "make_two_patterns"]
