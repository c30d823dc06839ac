"""How answers are shown: one file a format, and `choose.make` picks. Nothing here is loaded before it is needed."""
