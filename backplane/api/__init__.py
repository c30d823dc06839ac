"""Asking from Python: what `import backplane as lr` offers, and what the command line shares with it.

No index: `backplane/__init__.py` is that, lazily. Imports nothing, because the command line starts by way of it.
"""
