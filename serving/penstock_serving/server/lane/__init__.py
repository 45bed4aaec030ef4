"""The native lane: ordinary requests of a compiled model, answered without Python; see `serving/native`."""
