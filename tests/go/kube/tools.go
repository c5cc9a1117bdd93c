//go:build tools

// Package kube pins the Kubernetes programs that the tests and the quickstart run on holdfast.
// It holds no code: tests/tools/build-go builds the programs named here.
package kube

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kubectl"
)
