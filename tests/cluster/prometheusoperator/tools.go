//go:build tools

// Package tools pins prometheus-operator, which judges the compiled monitors, rules and receivers.
package tools

import _ "github.com/prometheus-operator/prometheus-operator/cmd/operator"
