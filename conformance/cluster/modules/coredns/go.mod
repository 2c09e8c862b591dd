module cluster

go 1.27.0
require github.com/coredns/coredns v1.14.7
