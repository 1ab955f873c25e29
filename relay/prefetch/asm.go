//go:build amd64 || arm64

package prefetch

// lines asks for n lines, as distances from an address. It waits for none of them, and there need not be any memory.
//
//go:noescape
func lines(from uintptr, list *int32, n int)
