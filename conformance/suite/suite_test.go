// Package suite runs the official conformance suite of the Gateway API against the cluster that
// KUBECONFIG names. Its options are the suite's own flags.
package suite

import (
	"testing"

	"sigs.k8s.io/gateway-api/conformance"
)

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}
