//go:build tools

// Package s3 pins versitygw, the S3 server that backups are tested against.
// It holds no code: tests/tools/build-go builds the program named here.
package s3

import _ "github.com/versity/versitygw/cmd/versitygw"
