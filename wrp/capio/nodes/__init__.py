"""Servers of several nodes as one: node 0 holds the rules, the others tell it what happens; bytes of files go from node to node."""
