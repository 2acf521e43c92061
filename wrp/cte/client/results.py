"""What calls of a client give: records, no behaviour."""

from typing import NamedTuple

from wrp.cte.client.ids import UniqueId
from wrp.cte.telemetry import Op


class BlobState(NamedTuple):
    """`blocks`: [(target, offset, nbytes)] of the bytes stored, in their order; target 0 is the node's ram, files count from 1."""

    score: float
    size: int
    blocks: list


class TargetState(NamedTuple):
    """score: 0 (slow) to 1; remaining_space, bytes: since the store was opened."""

    name: str
    score: float
    remaining_space: int
    bytes_read: int
    bytes_written: int
    ops_read: int
    ops_written: int


class Tags(NamedTuple):
    """`total`: how many match, `results` may be fewer."""

    results: list
    total: int


class Blobs(NamedTuple):
    """Names of tags and blobs, as many of each; `total`: how many match."""

    tag_names: list
    blob_names: list
    total: int


class Telemetry(NamedTuple):
    """One operation. tag_id: null where the tag is gone; times: ns since 1970; node: where it was noted."""

    op: Op
    off: int
    size: int
    tag_id: UniqueId
    mod_time: int
    read_time: int
    logical_time: int
    node: int = 0


class TelemetryLog(NamedTuple):
    """`entries` ascending by logical time; go on with `last_logical_time + 1`, of all nodes one for each; `lost`: overwritten before they were read."""

    last_logical_time: int
    entries: list
    lost: int


class Capacity(NamedTuple):
    """Bytes of targets, and what is free of them."""

    capacity: int
    remaining: int


class Flushed(NamedTuple):
    """What a flush made durable that wasn't before."""

    bytes_flushed: int
    blobs_flushed: int
