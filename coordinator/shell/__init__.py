"""Level `shell`: jobs of providers that have a POSIX shell and no usable Python. The index only (docs/adr/0003)."""
