"""How a release goes on: a pure state machine. It knows nothing of judges' statistics, manifests or API servers."""
