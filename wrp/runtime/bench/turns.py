"""Turns: the clients and the plain machine by turns, so that what disturbs one disturbs the other. A ratio is the median of those of the rounds."""

import statistics

from wrp.runtime.bench import client, loops, plain, report
from wrp.runtime.bench.samples import Samples

_ROUNDS, _LEAST_S = 10, 0.1         # rounds, and how long each is at least
_BESIDE = 4                         # the plain machine gets this part of the clients' time


class Turns:
    """Of one Stage. After `take`, the same on every rank: `parts`, what the clients of each rank have done (see `report.part`), None where
    there are none; `beside`: {name: Samples} of the plain machine; `ratios`: {name: ratio of each round}."""

    def __init__(self, stage, lead):
        self._stage, self._lead = stage, lead
        case = stage.options.test_case
        self.count = max(1, min(_ROUNDS, int(stage.options.duration / _LEAST_S)))
        self._seconds = stage.options.duration / self.count
        self._name = ("memcpy" if stage.is_ram else "pwrite") if case == "bdev_io" else \
            "ping_pong" if case in ("latency", "bdev_task_alloc") and stage.ranks.on_node.size > 1 else None
        self.parts, self.beside, self.ratios = [], {}, {}

    def take(self):
        """Collective."""
        ranks, ready, rounds = self._stage.ranks, (), []
        with ranks.agreed("preparing the benchmark's clients"):
            if self._stage.is_client:
                pool, works = self._stage.works(loops.CASES[self._stage.options.test_case])
                ready = client.prepare(self._stage.ways(pool), works)
        for _ in range(self.count):
            beside = self._plain()
            ranks.barrier("every client of the benchmark is ready")
            with ranks.agreed("running the benchmark's clients"):
                done = report.part(client.run_clients(*ready, self._seconds) if ready else ())
            rounds.append((done, beside))
        self._note(ranks.gather(rounds, "results of the clients"))

    def _plain(self):
        """Samples of the plain machine for one round, on the rank that measures it."""
        ranks, seconds, samples = self._stage.ranks, self._seconds / _BESIDE, None
        if self._name == "ping_pong":
            return plain.ping_pong(ranks.on_node, self._stage.word(), seconds)
        with ranks.agreed("measuring plain copies"):
            if self._name and ranks.rank == self._lead:
                samples = self._stage.moved(seconds)
        return samples

    def _note(self, of_ranks):
        self.parts = [report.in_turn([done for done, _ in rounds]) for rounds in of_ranks]
        if self._name is None:
            return
        measured = of_ranks[0 if self._name == "ping_pong" else self._lead]
        self.beside = {self._name: Samples.merged([beside for _, beside in measured])}
        self.ratios = {self._ratio_name: [self._ratio(report.together([rounds[number][0] for rounds in of_ranks]), measured[number][1])
                                          for number in range(self.count) if len(measured[number][1])]}

    @property
    def _ratio_name(self):
        return "round_trip_to_ping_pong" if self._name == "ping_pong" else f"bdev_io_to_{self._name}"

    def _ratio(self, done, beside):
        """Of one round: of durations, or of bytes per second."""
        if self._name == "ping_pong":
            return (done["samples"].percentile(0.5) or 0) / beside.percentile(0.5)
        return done["done"] / done["elapsed_s"] / (len(beside) / beside.total_ns * 1e9)

    @property
    def medians(self):
        """{name: the median of its ratios}."""
        return {name: statistics.median(values) for name, values in self.ratios.items() if values}
