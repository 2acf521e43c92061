"""The folder of a store: header, lock, journal and snapshot. Nothing here knows shared memory or ranks."""

from wrp.cte.folder.folder import Folder
from wrp.cte.folder.journal import Journal
from wrp.cte.folder.salvage import Lost, Salvaged, salvage

__all__ = ["Folder", "Journal", "Lost", "Salvaged", "salvage"]
