//go:build 386 || amd64 || arm || arm64 || loong64 || mips64le || mipsle || ppc64le || riscv64

package ebpf

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"

	"rtpsidecar/relay/srtp"
)

// contexts are the keys that the kernel's own AES has, where the program takes that, by the transform's id. They belong to
// the table's mutex.
type contexts struct {
	Program *ebpf.Program `ebpf:"relay_context"`
	Map     *ebpf.Map     `ebpf:"contexts"`
}

// minKernelAES is the first kernel whose bpf_crypto takes a cipher without initialization vector.
const minKernelAES = 6<<16 | 11<<8

// kernelAES is nil where the kernel can be asked for AES; it names what is missing.
func kernelAES() error {
	if v, err := features.LinuxVersionCode(); err == nil && v < minKernelAES {
		return unsupported("AES of the kernel: kernel %d.%d, needed is 6.11", v>>16, v>>8&0xff)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return unsupported("AES of the kernel: %v", err)
	}
	for _, name := range []string{"bpf_crypto_encrypt", "bpf_crypto_ctx_create"} {
		if _, err := kernel.AnyTypeByName(name); err != nil {
			return unsupported("AES of the kernel: no %s (CONFIG_CRYPTO)", name)
		}
	}
	return nil
}

// try tries a key.
func (c *contexts) try() error {
	if err := c.set(0, make([]byte, 16)); err != nil {
		return err
	}
	return c.set(0, nil)
}

// set gives a context its key, or takes it away.
func (c *contexts) set(id uint32, key []byte) error {
	k := aesKeying{Id: id, KeyLen: uint32(len(key))}
	copy(k.Key[:], key)
	in, err := binary.Append(nil, binary.NativeEndian, &k)
	if err != nil {
		return err
	}
	var out aesKeying
	code, err := c.Program.Run(&ebpf.RunOptions{Context: in, ContextOut: &out})
	clear(in)
	switch {
	case err != nil:
		return fmt.Errorf("AES of the kernel: %w", err)
	case code == 0:
		return nil
	case unix.Errno(-out.Err) == unix.ENOENT:
		return unsupported("AES of the kernel: it has no ecb(aes) (CONFIG_CRYPTO_ECB)")
	}
	return fmt.Errorf("AES of the kernel: %w", unix.Errno(-out.Err))
}

func (c *contexts) close() error {
	if c == nil {
		return nil
	}
	return errors.Join(c.Program.Close(), c.Map.Close())
}

// encrypts reports whether payloads are transformed by AES.
func encrypts(p srtp.Params) bool {
	return p.Suite != nil && p.Suite.Cipher == srtp.AESCM && !p.UnencryptedRTP
}
