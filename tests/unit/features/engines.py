"""The engines that every edge case is asked of.

A question takes Spark seconds: it gets the random ones (`test_engines_equal_the_reference`) and its
own edges (`test_spark`).
"""

from ces_ml.features.build import ENGINES as ALL

ENGINES = [name for name in ALL if name != "spark"]
