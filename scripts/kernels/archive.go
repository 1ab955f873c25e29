package main

import (
	"bufio"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// modules are those that tests need and that Debian does not build in; what is missing in the package is built in.
var modules = []string{"veth", "sch_ingress", "cls_bpf"}

// tools are the programs that tests call.
var tools = []string{"ip", "tc", "sysctl"}

// archive writes the file system of the machine: init, the tests, modules from the package at root, and the tools of this
// machine with their libraries.
func archive(ctx context.Context, file, root string, programs map[string]string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	w := &cpio{w: bufio.NewWriter(f), made: map[string]bool{}}
	defer func() {
		w.entry("TRAILER!!!", 0, nil)
		if ferr := w.w.Flush(); err == nil {
			err = ferr
		}
		if cerr := f.Close(); err == nil {
			err = cerr
		}
	}()
	for name, from := range programs {
		if err := w.copy(name, from); err != nil {
			return err
		}
	}
	for i, name := range modules {
		b, err := module(ctx, root, name)
		if err != nil {
			return err
		}
		if b != nil {
			w.add(fmt.Sprintf("modules/%d-%s.ko", i, name), b)
		}
	}
	for _, name := range tools {
		path, err := exec.LookPath(name)
		if err != nil {
			return err
		}
		if err := w.copy("sbin/"+name, path); err != nil {
			return err
		}
		out, err := exec.CommandContext(ctx, "ldd", path).Output()
		if err != nil {
			return fmt.Errorf("ldd %s: %w", path, err)
		}
		for _, word := range strings.Fields(string(out)) {
			if lib := strings.TrimPrefix(word, "/"); lib != word && !w.made[lib] {
				if err := w.copy(lib, word); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// module is a module of the package, unpacked; nil: there is none.
func module(ctx context.Context, root, name string) (b []byte, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || d.IsDir():
			return err
		case d.Name() == name+".ko":
			b, err = os.ReadFile(path)
		case d.Name() == name+".ko.xz":
			b, err = exec.CommandContext(ctx, "xz", "-dc", path).Output()
		default:
			return nil
		}
		if err == nil {
			err = filepath.SkipAll
		}
		return err
	})
	return b, err
}

// cpio writes an archive in the kernel's form (newc), Documentation/driver-api/early-userspace/buffer-format.rst.
type cpio struct {
	w    *bufio.Writer
	n    int
	made map[string]bool
}

func (c *cpio) copy(name, from string) error {
	b, err := os.ReadFile(from)
	if err == nil {
		c.add(name, b)
	}
	return err
}

// add writes a program, and the directories that it lies in.
func (c *cpio) add(name string, b []byte) {
	for i := range name {
		if dir := name[:i]; name[i] == '/' && !c.made[dir] {
			c.made[dir] = true
			c.entry(dir, 0o040755, nil)
		}
	}
	c.made[name] = true
	c.entry(name, 0o100755, b)
}

func (c *cpio) entry(name string, mode int, b []byte) {
	c.n++
	fmt.Fprintf(c.w, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X",
		c.n, mode, 0, 0, 1, 0, len(b), 0, 0, 0, 0, len(name)+1, 0)
	c.pad(110, []byte(name+"\x00"))
	c.pad(0, b)
}

// pad writes b and fills up to four bytes, before bytes having gone out already.
func (c *cpio) pad(before int, b []byte) {
	c.w.Write(b) // errors stay, and come with Flush
	for n := before + len(b); n%4 != 0; n++ {
		c.w.WriteByte(0)
	}
}
