"""Aggregates: the same code folds on a provider and at home."""

from provider.runner.aggregates.base import Aggregate, AggregateError
from provider.runner.aggregates.combiner import AGGREGATES, Combiner, chosen, tag

__all__ = ["AGGREGATES", "Aggregate", "AggregateError", "Combiner", "chosen", "tag"]
