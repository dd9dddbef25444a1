"""Captions kept from the first pass over a remote shard."""

from __future__ import annotations

from cnclip.stores.raw.caption_spool import CaptionSpool
from cnclip.stores.raw.samples import Sample


def test_captions_beyond_the_spool_s_limit_are_read_again() -> None:
    samples = [
        Sample(f"图{number}\udcff", f"x@{number}", None, True, {"txt": b"\xff"}) for number in range(9)
    ]
    spool = CaptionSpool(max_bytes=1000)
    kept = [list(spool.kept(str(shard), lambda _: iter(samples), print)) for shard in range(3)]
    assert kept == [samples] * 3
    found = [spool.samples(str(shard)) for shard in range(3)]
    assert list(found[0] or ()) == samples
    assert found[2] is None


def test_two_passes_at_a_time_do_not_mix_in_the_spool() -> None:
    samples = [Sample(str(number), f"x@{number}", None, True, {}) for number in range(9)]
    spool = CaptionSpool()
    one, two = (spool.kept(name, lambda _: iter(samples), print) for name in "ab")
    first = [next(one), next(two)]
    assert [*first[:1], *one] == [*first[1:], *two] == samples
    assert spool.samples("a") is None
    assert list(spool.samples("b") or ()) == samples
