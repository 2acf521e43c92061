"""The language CAPIO-CL: reads the file of a workflow and says what holds for each path. Knows nothing of a running workflow."""
