//go:build tools

// Package tools pins external-secrets' controller, which judges the compiled ExternalSecrets.
package tools

import _ "github.com/external-secrets/external-secrets"
