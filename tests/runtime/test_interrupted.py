"""Waits for tasks that an error of a signal's handler ends, at every step."""

from harness.interrupting import interrupted_behind_any_call

from wrp.runtime import admin


def test_a_wait_that_is_interrupted_frees_its_record_once(runtime):
    """Else two tasks have one record, and a caller gets what another has asked for."""
    pool, step = runtime.pool("admin", "admin"), 1
    while interrupted_behind_any_call(step, lambda: pool.submit(admin.MONITOR, 0).wait()):
        futures = [pool.submit(admin.MONITOR, 0) for _ in range(3)]
        assert len({future.offset for future in futures}) == 3
        assert [future.wait().code for future in futures] == [0, 0, 0]
        step += 1
    assert step > 5
