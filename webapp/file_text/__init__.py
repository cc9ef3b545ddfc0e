"""What a file says, as text: one module a kind, and what they share. `__main__.py` is the process they run in.

Each library is loaded only for the kind that needs it: they are slow to load.
"""


class Refused(Exception):
    """The file has no text for us; the argument is the reason's name in `files.py`."""
