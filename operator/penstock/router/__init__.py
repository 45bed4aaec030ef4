"""The router's agent: renders Envoy's configuration, keeps the ledger of what each arm answered, drains on stop.

Memory is paid for in every router pod, so this package is standard library only.
"""
