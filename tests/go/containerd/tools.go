//go:build tools

// Package containerd pins the container runtime of the nodes in deploy/node. Libraries that it has
// in common with ../kube are required at that module's versions, so that they compile once; the
// module is another one because containerd needs an older k8s.io/cri-api.
// It holds no code: tests/tools/build-go builds the programs named here.
package containerd

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
