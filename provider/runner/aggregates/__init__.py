"""Aggregates: the same code folds on a provider and at home."""

from provider.runner.aggregates.base import Aggregate, AggregateError
from provider.runner.aggregates.combiner import Combiner, tag
from provider.runner.aggregates.names import AGGREGATES, chosen

__all__ = ["AGGREGATES", "Aggregate", "AggregateError", "Combiner", "chosen", "tag"]
