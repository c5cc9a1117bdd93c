//go:build tools

// Package helm pins Helm, which the tests install the charts with.
// It holds no code: tests/tools/build-go builds the program named here.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
