//go:build tools

// Package etcd36 pins the release of etcd before the one that the tests compare with: clusters that
// are taken over run it. It holds no code: tests/tools/build-go builds it.
package etcd36

import _ "go.etcd.io/etcd/server/v3"
