"""The rules of a running workflow as a pure state machine: events in, actions out. No clock, no files, no processes."""
