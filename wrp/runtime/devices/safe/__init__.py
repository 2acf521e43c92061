"""A device over several members that outlives the loss of some of them: rows of chunks with Reed-Solomon parity. The device itself is in device.py."""
