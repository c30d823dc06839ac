"""Whom a question's condition on ``host`` leaves of a selection: see `backplane.api.pruning`, which Python shares."""

from __future__ import annotations

from backplane.api.pruning import pruned, pruned_table

__all__ = ["pruned", "pruned_table"]
