"""What workers count and time, in the segment: counters, latencies per method, and a trace on demand."""
