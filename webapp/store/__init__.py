"""What the portal remembers, in SQLite or PostgreSQL: one file a thing.

Knows rows and times; knows nothing of Flask, of forms or of Exec's answers. The only place that speaks SQL.
"""

from .database import Database
from .drafts import Drafts
from .erasing import Erasing
from .events import Events
from .figures import Figures
from .launches import Launches
from .links import Links
from .sign_ins import SignIns


class Store:
    """The portal's memory at one address. Raises `StoreUnavailable`."""

    def __init__(self, url: str) -> None:
        self.database = Database(url)
        self.launches = Launches(self.database)
        self.links = Links(self.database)
        self.drafts = Drafts(self.database)
        self.sign_ins = SignIns(self.database)
        self.events = Events(self.database)
        self.figures = Figures(self.database)
        self.erasing = Erasing(self.database)
