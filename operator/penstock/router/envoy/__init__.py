"""Pure renderers: what a router should do -> Envoy's own configuration resources (its v3 API, release 1.40)."""
