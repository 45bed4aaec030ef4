package main

import (
	"github.com/coredns/coredns/core/dnsserver"

	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/forward"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	_ "github.com/coredns/coredns/plugin/loop"
	_ "github.com/coredns/coredns/plugin/ready"
)

// CoreDNS's own list pulls in the SDKs of three clouds; a cluster's DNS needs these, in this order of execution.
func init() {
	dnsserver.Directives = []string{"bind", "ready", "errors", "cache", "loop", "kubernetes", "forward"}
}
