module cluster

go 1.26.4

require sigs.k8s.io/gateway-api-conformance-images v0.1.0
