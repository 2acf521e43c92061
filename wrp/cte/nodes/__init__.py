"""The store over several nodes: which node is the home of a name, questions between nodes, bytes that cross. See store.NodesStore."""
