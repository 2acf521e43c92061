"""The benchmark of the CTE, `wrp_cte_bench`. Import its modules by name."""
