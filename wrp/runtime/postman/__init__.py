"""The postman of a node: brings tasks to the containers of other nodes, serves theirs, and brings the results back."""

from wrp.runtime.postman.post import Post

__all__ = ["Post"]
