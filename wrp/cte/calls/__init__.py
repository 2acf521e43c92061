"""The calls of a store in groups, each a base class of store.Store."""

from wrp.cte.calls.editing import Editing
from wrp.cte.calls.info import BlobInfo
from wrp.cte.calls.listing import Listing
from wrp.cte.calls.observing import Observing
from wrp.cte.calls.reading import Reading
from wrp.cte.calls.writing import Writing

__all__ = ["BlobInfo", "Editing", "Listing", "Observing", "Reading", "Writing"]
