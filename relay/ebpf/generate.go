package ebpf

//go:generate sh generate.sh
