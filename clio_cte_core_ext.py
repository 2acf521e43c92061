"""The module wrp_cte_core_ext under its later name: ``import clio_cte_core_ext as cte``."""

from wrp.cee.facade import (BdevType, BlobId, ChimaeraMode, Client, CteOp, CteTelemetry, PoolId, PoolQuery, Tag, TagId, UniqueId, chimaera_init,
                            get_cte_client, initialize_cte)

__all__ = ["BdevType", "BlobId", "ChimaeraMode", "Client", "CteOp", "CteTelemetry", "PoolId", "PoolQuery", "Tag", "TagId", "UniqueId",
           "chimaera_init", "get_cte_client", "initialize_cte"]
