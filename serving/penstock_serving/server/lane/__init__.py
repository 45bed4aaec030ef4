"""The native lane: ordinary requests, answered natively but for what a model's own Python computes; see `serving/native`."""
