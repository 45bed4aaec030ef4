"""Generate the messages from the .proto: `python -m penstock_serving.rpc.generate` (needs grpcio-tools)."""

from importlib.resources import files
from pathlib import Path

from penstock_serving import protocol

_PROTO = "penstock_serving/protocol/open_inference.proto"
_SHARED_POOL = "_descriptor_pool.Default()"
_OWN_POOL = "_descriptor_pool.DescriptorPool()"
_UNCHECKED = "# mypy: ignore-errors\n# ruff: noqa\n# fmt: off\n"


def generate(target: Path) -> tuple[Path, ...]:
    """Write the module and its stub under the source root `target`; return their paths."""
    from grpc_tools import protoc  # type: ignore[import-untyped]

    root = Path(str(files(protocol))).parents[1]
    if protoc.main(["protoc", f"-I{root}", f"--python_out={target}", f"--pyi_out={target}", _PROTO]):
        raise SystemExit(f"{_PROTO} cannot be compiled: protoc says why above")
    made = tuple((target / _PROTO).with_name(f"open_inference_pb2.{suffix}") for suffix in ("py", "pyi"))
    for path in made:
        # a pool of our own: other implementations of the protocol name the same messages, and a process may hold both
        path.write_text(_UNCHECKED + path.read_text().replace(_SHARED_POOL, _OWN_POOL))
    return made


if __name__ == "__main__":
    for path in generate(Path(str(files(protocol))).parents[1]):
        print(f"wrote {path}")
