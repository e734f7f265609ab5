"""Blocks worked on side by side: in order, each on its share of the threads, as the caller's thread is set up."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from sounds import glide
from test_codec import HOP, save_untrained

from ravecodec.codec import Codec, load
from ravecodec.workers import side_by_side


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def all_end() -> None:
    """All threads that work on blocks end by themselves."""
    for thread in threading.enumerate():
        if thread.name.startswith("ravecodec"):
            thread.join(timeout=60)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def codec(tmp_path_factory: pytest.TempPathFactory) -> Codec:
    return load(save_untrained(tmp_path_factory.mktemp("models") / "tiny.safetensors", 0))


def test_results_come_in_order_from_threads_that_share(two_threads: None) -> None:
    gate = threading.Barrier(2, timeout=60)

    def work(item: int) -> tuple[int, int, str]:
        if item < 2:
            gate.wait()  # only two at once get past
        return item, torch.get_num_threads(), threading.current_thread().name

    found = list(side_by_side(work, range(9)))
    assert [item for item, _, _ in found] == list(range(9))
    assert {threads for _, threads, _ in found} == {1}
    assert threading.current_thread().name not in {name for _, _, name in found}
    assert torch.get_num_threads() == 2
    heard: list[int] = []
    later = threading.Thread(target=lambda: heard.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert heard == [2]  # threads begun later are as they would have been


@pytest.mark.parametrize("items", [0, 1])
def test_one_block_has_all_threads(two_threads: None, items: int) -> None:
    assert list(side_by_side(lambda _: torch.get_num_threads(), range(items))) == [2] * items


def test_mixed_precision_goes_with_the_work(two_threads: None) -> None:
    def work(_: int) -> torch.dtype:
        return torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype

    with torch.autocast("cpu", torch.bfloat16):
        assert set(side_by_side(work, range(4))) == {torch.bfloat16}
    assert set(side_by_side(work, range(4))) == {torch.float32}


def test_what_fails_fails_for_the_caller_and_nothing_is_left_running(two_threads: None) -> None:
    def work(item: int) -> int:
        if item == 3:
            raise ValueError("the third")
        return item

    results = side_by_side(work, iter(range(1000)))
    with pytest.raises(ValueError, match="the third"):
        list(results)
    first = side_by_side(abs, iter(range(1000)))
    assert next(first) == 0
    first.close()
    all_end()


def test_not_many_more_items_are_taken_than_there_are_threads(two_threads: None) -> None:
    taken: list[int] = []
    for result in side_by_side(abs, (taken.append(item) or item for item in range(50))):
        assert len(taken) <= result + 4
    assert len(taken) == 50


@pytest.mark.parametrize("frames", [200, 700, 1200])
def test_a_file_is_the_same_with_one_thread_and_with_two(codec: Codec, two_threads: None, frames: int) -> None:
    audio = glide(1, frames * HOP)
    shared = codec.encode(audio, 48000, components=8, step=0)
    decoded = codec.decode(shared)[0]
    torch.set_num_threads(1)
    assert codec.encode(audio, 48000, components=8, step=0) == shared
    sound = codec.decode(shared)[0]
    assert len(sound) == len(audio) and np.abs(sound - decoded).max() < 1e-5


def test_who_stops_listening_leaves_no_thread(codec: Codec, two_threads: None) -> None:
    data = codec.encode(glide(1, 900 * HOP), 48000, components=8, step=0)
    blocks = codec.decode_stream(io.BytesIO(data)).blocks
    assert len(next(blocks)) > 0
    del blocks
    all_end()
