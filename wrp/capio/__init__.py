"""Streaming between the programs of a workflow through their files. The language, and the rules of a running workflow."""
