//go:build !linux || !(386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64)

package ebpf

// Open gives an error that wraps ErrUnsupported: there is no fast path on this platform.
func Open(Config) (Table, error) { return nil, unsupported("this platform") }
