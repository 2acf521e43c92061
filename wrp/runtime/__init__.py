"""The floor of configuration, tasks, pools, workers and devices. Import its modules by name."""
