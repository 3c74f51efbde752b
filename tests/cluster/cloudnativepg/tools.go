//go:build tools

// Package tools pins CloudNativePG's operator, which is also what runs in its Pods.
package tools

import _ "github.com/cloudnative-pg/cloudnative-pg/cmd/manager"
