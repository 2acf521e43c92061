"""The names of the CTE that users of the reference system know: ``import wrp_cte_core_ext as cte``."""

from wrp.cee.asynchronous import Future
from wrp.cee.facade import Client, Tag, chimaera_init, get_cte_client, initialize_cte
from wrp.cee.values import BdevType, BlobId, CteOp, CteTelemetry, PoolId, PoolQuery, SemanticSearchResult, TagId, TemporalSearchResult, UniqueId
from wrp.runtime.facade import ChimaeraMode

RuntimeMode, clio_init = ChimaeraMode, chimaera_init        # as later releases name them

__all__ = ["BdevType", "BlobId", "ChimaeraMode", "Client", "CteOp", "CteTelemetry", "Future", "PoolId", "PoolQuery", "RuntimeMode",
           "SemanticSearchResult", "Tag", "TagId", "TemporalSearchResult", "UniqueId", "chimaera_init", "clio_init", "get_cte_client", "initialize_cte"]
