// Package suite runs the official conformance suite of the Gateway API against the cluster that
// KUBECONFIG names. Its options are the suite's own flags.
package suite

import (
	"encoding/json"
	"flag"
	"os"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"
	"sigs.k8s.io/gateway-api/conformance"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

var catalogOutput = flag.String("catalog-output", "", "The file where to write what the suite has.")

func TestConformance(t *testing.T) {
	conformance.RunConformance(t)
}

type test struct {
	Name        string                 `json:"name"`
	Features    []features.FeatureName `json:"features"`
	Provisional bool                   `json:"provisional"`
	Parallel    bool                   `json:"parallel"`
}

type profile struct {
	Name     suite.ConformanceProfileName `json:"name"`
	Core     []features.FeatureName       `json:"core"`
	Extended []features.FeatureName       `json:"extended"`
}

type catalog struct {
	Tests    []test    `json:"tests"`
	Profiles []profile `json:"profiles"`
}

// TestCatalog writes which tests there are, which features each needs, and which features each
// profile consists of: what a run is compared with.
func TestCatalog(t *testing.T) {
	if *catalogOutput == "" {
		t.Skip("no -catalog-output")
	}
	var result catalog
	for _, known := range tests.ConformanceTests {
		result.Tests = append(result.Tests, test{
			Name:        known.ShortName,
			Features:    known.Features,
			Provisional: known.Provisional,
			Parallel:    known.Parallel,
		})
	}
	for _, known := range []suite.ConformanceProfile{
		suite.GatewayHTTPConformanceProfile,
		suite.GatewayTLSConformanceProfile,
		suite.GatewayTCPConformanceProfile,
		suite.GatewayUDPConformanceProfile,
		suite.GatewayGRPCConformanceProfile,
		suite.MeshHTTPConformanceProfile,
		suite.MeshGRPCConformanceProfile,
	} {
		result.Profiles = append(result.Profiles, profile{
			Name:     known.Name,
			Core:     sorted(known.CoreFeatures),
			Extended: sorted(known.ExtendedFeatures),
		})
	}
	text, err := json.Marshal(result)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(*catalogOutput, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

func sorted(names sets.Set[features.FeatureName]) []features.FeatureName {
	list := append([]features.FeatureName{}, names.UnsortedList()...)
	slices.Sort(list)
	return list
}
