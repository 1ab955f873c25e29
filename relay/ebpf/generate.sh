#!/bin/sh
# Builds rtp.c into rtp_bpfel.o and rtp_bpfel.go, and with the kernel's AES into aes_bpfel.*, in the folder given or this
# one. The committed files are made by this very compiler; another writes another object.
set -eu
cd "$(dirname "$0")"
if ! command -v clang-19 >/dev/null || ! command -v llvm-strip-19 >/dev/null; then
	echo "relay/ebpf: NOT BUILT: clang-19 and llvm-strip-19 are missing" >&2
	exit 0
fi
flags="-O2 -mcpu=v3 -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-field-initializers"
build() { GOPACKAGE=ebpf go tool bpf2go -cc clang-19 -strip llvm-strip-19 -target bpfel "$@"; }
build -output-dir "${1:-.}" -cflags "$flags" -type flow_key -type flow -type sink -type protection -type transform -type state -type path \
	-type guard -type ahead rtp rtp.c
build -output-dir "${1:-.}" -cflags "$flags -DKERNEL_AES" -no-global-types -type keying aes rtp.c
