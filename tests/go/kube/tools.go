//go:build tools

// Package kube pins the Kubernetes programs that the tests and the quickstart run on holdfast, and
// what else needs Kubernetes' libraries: in one module they compile once.
// It holds no code: tests/tools/build-go builds the programs named here.
package kube

import (
	_ "github.com/rancher/local-path-provisioner"
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubectl"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
