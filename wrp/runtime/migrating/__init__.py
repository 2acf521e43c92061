"""Migrating: a container of a user's module goes to another node with what it has, while tasks for it come. `migrate` asks for it."""

from wrp.runtime.migrating.asking import migrate

__all__ = ["migrate"]
