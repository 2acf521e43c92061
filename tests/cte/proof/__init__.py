"""What proves the store's promises: a workload with its model, crashes, faults, fuzzed files, a check of linearisability."""
