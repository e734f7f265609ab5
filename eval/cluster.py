"""Where a sweep's processes are: on this machine by joblib's loky, or on a cluster by joblib's dask backend.

On two machines or more, with the sounds and the code at the same paths on each (a shared folder):

    dask scheduler                                     # prints its address, say tcp://10.0.0.1:8786
    dask worker tcp://10.0.0.1:8786 --nworkers 8 --nthreads 1      # on every machine
    ravecodec sweep --backend dask --cluster tcp://10.0.0.1:8786 --data ... --out ...

Without an address, `--backend dask --jobs 2` starts a cluster of two workers on this machine for the run. Only the
process that runs the sweep writes; workers read clips, code and measure. The record is that of a local run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from eval.errors import Unavailable

PATIENCE_SECONDS = 10


@contextmanager
def workers(backend: str, jobs: int, address: str | None = None) -> Iterator[int]:
    """joblib's configuration for the block; gives the number of jobs to ask for.

    Unavailable without the package distributed and where no scheduler answers at `address`.
    """
    import joblib

    if backend != "dask":
        # One thread in each process: with as many processes as processors, more only fight each other.
        threads: dict[str, Any] = {"inner_max_num_threads": 1} if backend == "loky" else {}
        with joblib.parallel_config(backend=backend, **threads):
            yield jobs
        return
    try:
        import distributed
    except ImportError as error:
        raise Unavailable("the backend dask is not installed: pip install 'ravecodec[cluster]'") from error
    with ExitStack() as stack:
        if address is None:
            cluster = distributed.LocalCluster(n_workers=jobs, threads_per_worker=1, dashboard_address=None)
            address = stack.enter_context(cluster).scheduler_address
        try:
            client = stack.enter_context(distributed.Client(address, timeout=PATIENCE_SECONDS, set_as_default=False))
        except (OSError, ValueError) as error:
            raise Unavailable(f"no dask scheduler answers at {address}: {error}") from error
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise Unavailable(f"the dask scheduler at {address} has no workers: `dask worker {address}` starts one")
        with joblib.parallel_config(backend="dask", client=client, pure=False):
            yield -1
