"""A real Kubernetes on this machine, for the demo and the tests.

Two tiers: `control-plane` (etcd, kube-apiserver, kube-controller-manager; no root needed, several side by side) and
`node` (also scheduler, kubelet, kube-proxy, CoreDNS and containerd, in namespaces of their own). Only the standard
library is used, so that it runs before anything is installed.
"""
