"""The module `monitor`: what a node says of itself when a process asks, in msgpack. Import its modules by name; `Monitoring` asks."""

from wrp.runtime.monitor.asking import Monitoring

__all__ = ["Monitoring"]
