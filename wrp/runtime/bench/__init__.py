"""The benchmark of the runtime, `wrp_run_thrpt_benchmark`. Import its modules by name."""
