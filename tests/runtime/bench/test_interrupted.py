"""The benchmark's command when a signal ends it: its clients are threads in kernels."""
import os
import signal
import subprocess
import sys
import time

import pytest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_benchmark_that_is_interrupted_ends_its_clients(number, tmp_path):
    call = [os.path.join(os.path.dirname(sys.executable), "wrp_run_thrpt_benchmark"), "--test-case", "latency", "--threads", "2", "--duration", "60"]
    job = subprocess.Popen(call, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
                           preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler))
    deadline = time.monotonic() + 20
    while job.poll() is None and len(os.listdir(f"/proc/{job.pid}/task")) < 5 and time.monotonic() < deadline:      # workers, and clients
        time.sleep(0.1)
    time.sleep(2)
    job.send_signal(number)
    _, said = job.communicate(timeout=60)
    assert (job.returncode, said.strip()) == (128 + number, "wrp: interrupted")
