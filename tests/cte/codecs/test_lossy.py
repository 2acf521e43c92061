"""What lossy codecs promise about the error, measured; and what they don't take."""

import numpy as np
import pytest

from wrp.cte.codecs import Compression, Unsuited, available, codec, compress, frame, registry

RNG = np.random.default_rng(7)
FIELDS = {
    "smooth": np.sin(np.linspace(0, 60, 30_000)) * 50,
    "noise": RNG.normal(size=30_000) * 1e3,
    "wide": np.exp(RNG.normal(size=10_000) * 8) * RNG.choice([-1, 1], 10_000),
    "constant": np.full(5_000, 3.25),
    "zeros": np.zeros(4_000),
    "one": np.array([1.5]),
    "denormal": RNG.normal(size=5_000) * 1e-40,
}


def made(name, *args, **options):
    if name not in available():
        pytest.skip(f"the library of {name} isn't installed")
    return codec(name, *args, **options)


def kept(made_codec, values):
    """Decoded values, or None where the codec says that it can't keep its bound."""
    try:
        encoded = made_codec.encode(values)
    except Unsuited:
        return None
    return np.frombuffer(made_codec.decode(encoded, values.nbytes), values.dtype)


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("bound", [1.0, 1e-2, 1e-5])
@pytest.mark.parametrize("name", registry.LOSSY)
def test_the_bound_holds_for_every_value(name, bound, dtype):
    made_codec = made(name, dtype=dtype, error_bound=bound)
    taken = 0
    for what, field in FIELDS.items():
        values = field.astype(dtype)
        decoded = kept(made_codec, values)
        if decoded is None:
            continue
        taken += 1
        error = np.abs(decoded.astype("f8") - values.astype("f8"))
        allowed = bound * np.abs(values.astype("f8")) if name == "fpzip" else bound
        assert np.all(error <= allowed), f"{what}: {error.max()}"
    assert taken >= 3


@pytest.mark.parametrize("name", registry.LOSSY)
def test_a_bound_buys_space(name):
    values = FIELDS["smooth"].astype("f4")
    sizes = [len(made(name, dtype="f4", error_bound=bound).encode(values)) for bound in (1e-1, 1e-3, 1e-5)]
    assert sizes == sorted(sizes) and sizes[0] < values.nbytes / 3


@pytest.mark.parametrize("preset, part", [("fast", 0.05), ("balanced", 0.01), ("best", 0.005)])
def test_presets_of_sz3_are_parts_of_the_range(preset, part):
    values = FIELDS["noise"]
    decoded = kept(made("sz3", preset, "f8"), values)
    assert np.abs(decoded - values).max() <= part * np.ptp(values)


def test_presets_of_zfp_are_rates_then_a_bound():
    values = FIELDS["smooth"].astype("f4")
    fast, balanced, best = (made("zfp", preset, "f4").encode(values) for preset in ("fast", "balanced", "best"))
    assert len(fast) <= values.nbytes / 4 * 1.01 and len(balanced) <= values.nbytes / 2 * 1.01
    assert np.abs(np.frombuffer(made("zfp", dtype="f4").decode(best, values.nbytes), "f4") - values).max() <= 1e-3


@pytest.mark.parametrize("name", registry.LOSSY)
@pytest.mark.parametrize("data", [b"", b"abc", np.array([1.0, np.nan], "f4").tobytes(), np.array([np.inf, 2.0], "f4").tobytes()],
                         ids=["nothing", "no number", "nan", "inf"])
def test_what_they_dont_take_is_kept_as_it_is(name, data):
    made_codec = made(name, dtype="f4")
    with pytest.raises(Unsuited):
        made_codec.encode(data)
    assert frame.encode(data, made_codec) is None


@pytest.mark.parametrize("psnr", [40, 80])
@pytest.mark.parametrize("name", ["zfp", "sz3"])
def test_a_psnr_asked_for_is_reached(name, psnr):
    made(name, dtype="f4")
    values = FIELDS["smooth"].astype("f4")
    framed, outcome = compress(values, Compression(codec=name, dtype="f4", target_psnr=psnr))
    assert outcome.psnr_db >= psnr and outcome.ratio > 1
    decoded = np.frombuffer(frame.decode(framed), "f4").astype("f8")
    measured = 20 * np.log10(np.ptp(values) / np.sqrt(np.mean((decoded - values) ** 2)))
    assert measured == pytest.approx(outcome.psnr_db, abs=0.01)


@pytest.mark.parametrize("options", [{"error_bound": 1e-3}, {"target_psnr": 60}])
def test_pieces_that_are_kept_count_as_what_they_are(options):
    made("zfp", dtype="f4")
    values = np.tile(FIELDS["smooth"], 40).astype("f4")[:frame.PIECE // 4 + 100]
    values[-1] = np.nan
    for data in (values.tobytes(), values[:-1].tobytes() + b"abc"):
        framed, outcome = compress(data, Compression(codec="zfp", dtype="f4", **options))
        decoded = frame.decode(framed)
        assert len(decoded) == len(data) and decoded[frame.PIECE:] == data[frame.PIECE:]
        assert 50 < outcome.psnr_db < 200 and outcome.codec == "zfp"
