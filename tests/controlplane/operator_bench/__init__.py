"""What the operator needs around it on a cluster without nodes: people, a kubelet and routers, played by the tests."""
