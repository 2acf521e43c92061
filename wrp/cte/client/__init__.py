"""The clients of the CTE: the calls that users of the reference system know, by their names, over an opened Store."""

from wrp.cte.client.client import REPLACE, PARTIAL, Client
from wrp.cte.client.codes import code_of
from wrp.cte.client.context import Context
from wrp.cte.client.future import Future, Later
from wrp.cte.client.ids import UniqueId
from wrp.cte.client.tag import Tag

__all__ = ["PARTIAL", "REPLACE", "Client", "Context", "Future", "Later", "Tag", "UniqueId", "code_of"]
