"""A conformance suite of the Open Inference Protocol v2, run against any server by its address."""
