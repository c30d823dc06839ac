"""Where providers come from: every form of inventory, and the choice among what they name.

read        an inventory of any kind, by its source as `-i` takes it
unite       several inventories as one table
choose      what `-a -w -g -x -l` select of it
"""

from __future__ import annotations

from coordinator.inventory.choosing import LOCAL, Wanted, choose, unite
from coordinator.inventory.reading import read

__all__ = ["LOCAL", "Wanted", "choose", "read", "unite"]
