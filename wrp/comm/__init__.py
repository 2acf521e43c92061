"""The floor that knows shared memory, atomics and MPI: segments, rings, tables, ranks. Import its modules by name."""
