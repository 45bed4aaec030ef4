"""Callers by gRPC's own library, each with a connection of its own that it keeps as long as it may."""

import threading
import time
from collections import Counter

import grpc

from router_bench.grpc import PATH

_OWN_CONNECTION = [("grpc.use_local_subchannel_pool", 1)]
_PAUSE_SECONDS = 0.02


class GrpcLoad:
    """So many callers until stopped; how many calls ended with each status."""

    def __init__(self, port: int, callers: int, message: bytes = b"ok") -> None:
        self.seen: Counter[str] = Counter()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._message = message
        self._target = f"127.0.0.1:{port}"
        self._threads = [threading.Thread(target=self._run, name=f"grpc-{number}") for number in range(callers)]

    def __enter__(self) -> "GrpcLoad":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _run(self) -> None:
        with grpc.insecure_channel(self._target, options=_OWN_CONNECTION) as channel:
            call = channel.unary_unary(PATH)
            while not self._stop.is_set():
                try:
                    call(self._message, timeout=20)
                    told = "OK"
                except grpc.RpcError as error:
                    told = f"{error.code().name}: {error.details()}"
                with self._lock:
                    self.seen[told] += 1
                time.sleep(_PAUSE_SECONDS)
