//go:build tools

// Package tools pins CloudNativePG's Barman Cloud plugin, which is also the sidecar of the instances' Pods. It is the one
// made for the pinned operator; go.sum alone holds it, since Go's checksum database does not have it.
package tools

import _ "github.com/cloudnative-pg/plugin-barman-cloud/cmd/manager"
