"""The way of interception through the kernel: calls that name files are held and told to a supervisor (seccomp user notification).

No compiler, no library in the program: static programs too. Linux 5.5, x86-64 or arm64; no privilege.
"""
