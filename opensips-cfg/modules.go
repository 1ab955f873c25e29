package opensipscfg

import (
	"os"
	"os/exec"
	"path/filepath"
)

// FindModules is the directory with OpenSIPS' modules: beside the opensips program in PATH or where packages put it. If there
// is none it is where Debian's package would put it.
func FindModules() string {
	var dirs []string
	if program, err := exec.LookPath("opensips"); err == nil {
		if real, err := filepath.EvalSymlinks(program); err == nil {
			dirs = ModulesBeside(real)
		}
	}
	dirs = append(dirs, ModulesBeside("/usr/sbin/opensips")...)
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "tm.so")); err == nil {
			return dir
		}
	}
	return "/usr/lib/x86_64-linux-gnu/opensips/modules/"
}

// ModulesBeside lists where the modules of the OpenSIPS program at this path can be.
func ModulesBeside(program string) []string {
	prefix := filepath.Dir(filepath.Dir(program))
	dirs, _ := filepath.Glob(filepath.Join(prefix, "lib", "*", "opensips", "modules"))
	for _, lib := range []string{"lib64", "lib"} {
		dirs = append(dirs, filepath.Join(prefix, lib, "opensips", "modules"))
	}
	for i := range dirs {
		dirs[i] += "/"
	}
	return dirs
}
