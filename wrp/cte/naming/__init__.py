"""Names of tags: aliases and renamed tags. What the names stand for (table), as all ranks see it (shared), how it changes (changing), on one node (node)."""

from wrp.cte.naming.changing import Naming
from wrp.cte.naming.shared import SameNames, TagNames

__all__ = ["Naming", "SameNames", "TagNames"]
