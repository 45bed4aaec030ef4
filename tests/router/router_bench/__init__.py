"""The router bench: real Envoy, the real agent, small real HTTP servers, callers and a kube-proxy's stand-in."""
