package opensipscfg

import (
	"os"
	"path/filepath"
	"syscall"
)

// keepOwner gives a new file the owner that the one at path has, or else its directory's group, where that is possible:
// the proxy reads it as a user of its own.
func keepOwner(path string, f *os.File) error {
	if os.Geteuid() != 0 {
		return nil
	}
	uid, gid := -1, -1
	if info, err := os.Stat(path); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			uid, gid = int(st.Uid), int(st.Gid)
		}
	} else if info, err := os.Stat(filepath.Dir(path)); err == nil {
		if st, ok := info.Sys().(*syscall.Stat_t); ok {
			gid = int(st.Gid)
		}
	}
	return f.Chown(uid, gid)
}
