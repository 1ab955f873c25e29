package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// apt finds kernels and fetches them, from one suite.
type apt struct {
	dir   string // for lists, where the suite is not configured
	suite string // "": those that are configured
}

// run runs one of apt's programs in dir.
func (a *apt) run(ctx context.Context, dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	if a.suite != "" {
		cmd.Args = append([]string{args[0], "-o", "Dir::Etc::sourcelist=" + filepath.Join(a.dir, "sources.list"), "-o", "Dir::Etc::sourceparts=-",
			"-o", "Dir::State=" + a.dir, "-o", "Dir::Cache=" + a.dir, "-o", "Debug::NoLocking=1"}, args[1:]...)
	}
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// kernels are the packages of the suite's kernels: the newest, or the newest of each minor version.
func (a *apt) kernels(ctx context.Context, all bool) ([]string, error) {
	if a.suite != "" {
		if err := a.update(ctx); err != nil {
			return nil, err
		}
	}
	out, err := a.run(ctx, "", "apt-cache", "pkgnames", "linux-image-")
	if err != nil {
		return nil, err
	}
	names := newest(strings.Fields(out))
	if len(names) == 0 {
		return nil, errors.New("no kernel")
	}
	if !all {
		// The suite's own choice: it may have newer ones beside it, as bookworm has.
		const chosen = "linux-image-cloud-amd64"
		if names, err = a.depends(ctx, chosen, "linux-image-"); err == nil && len(names) == 0 {
			err = fmt.Errorf("%s depends on no kernel", chosen)
		}
	}
	return names, err
}

var kernelName = regexp.MustCompile(`^linux-image-(\d+)\.(\d+)\.(\d+)([-+~].*)?-cloud-amd64$`)

// newest are the names that are kernels' for virtual machines, oldest first, only the last of each minor version.
func newest(names []string) (list []string) {
	type kernel struct {
		name    string
		version [4]int // the last is Debian's
	}
	var kernels []kernel
	for _, name := range names {
		if m := kernelName.FindStringSubmatch(name); m != nil {
			k := kernel{name: name}
			for i := range k.version {
				k.version[i], _ = strconv.Atoi(strings.Trim(m[i+1], "-+~deb")) // what is no number counts as 0
			}
			kernels = append(kernels, k)
		}
	}
	slices.SortFunc(kernels, func(a, b kernel) int {
		return cmp.Or(slices.Compare(a.version[:], b.version[:]), cmp.Compare(a.name, b.name))
	})
	for i, k := range kernels {
		if i+1 == len(kernels) || !slices.Equal(kernels[i+1].version[:2], k.version[:2]) {
			list = append(list, k.name)
		}
	}
	return list
}

// update fetches the lists of a suite that is not configured.
func (a *apt) update(ctx context.Context) error {
	uri, err := mirror(ctx)
	if err != nil {
		return err
	}
	for _, sub := range []string{"lists/partial", "archives/partial"} {
		if err := os.MkdirAll(filepath.Join(a.dir, sub), 0o755); err != nil {
			return err
		}
	}
	line := fmt.Sprintf("deb %s %s main\n", uri, a.suite)
	if err := os.WriteFile(filepath.Join(a.dir, "sources.list"), []byte(line), 0o644); err != nil {
		return err
	}
	_, err = a.run(ctx, "", "apt-get", "update")
	return err
}

// download fetches a kernel and what newer packages keep apart into dir and returns the files.
func (a *apt) download(ctx context.Context, dir, name string) ([]string, error) {
	parts, err := a.depends(ctx, name, "linux-binary-", "linux-modules-")
	if err != nil {
		return nil, err
	}
	if _, err := a.run(ctx, dir, append([]string{"apt-get", "download", name}, parts...)...); err != nil {
		return nil, err
	}
	return filepath.Glob(filepath.Join(dir, "*.deb"))
}

// depends are the packages with these beginnings that a package depends on, also those that the suite has lost.
func (a *apt) depends(ctx context.Context, name string, begins ...string) (list []string, err error) {
	out, err := a.run(ctx, "", "apt-cache", "depends", name)
	for line := range strings.Lines(out) {
		on, ok := strings.CutPrefix(strings.TrimSpace(line), "Depends: ")
		on = strings.Trim(on, "<>")
		if ok && slices.ContainsFunc(begins, func(b string) bool { return strings.HasPrefix(on, b) }) {
			list = append(list, on)
		}
	}
	return list, err
}

// mirror is where apt takes Debian from.
func mirror(ctx context.Context) (string, error) {
	out, err := new(apt).run(ctx, "", "apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages")
	uri, _, _ := strings.Cut(out, "\n")
	if err == nil && uri == "" {
		err = errors.New("apt knows no mirror")
	}
	return uri, err
}

// unpack lays packages out under root and returns the kernel among what they have.
func unpack(ctx context.Context, root string, debs []string) (image string, err error) {
	for _, deb := range debs {
		if out, err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, root).CombinedOutput(); err != nil {
			return "", fmt.Errorf("dpkg-deb: %w: %s", err, out)
		}
	}
	older, err1 := filepath.Glob(filepath.Join(root, "boot/vmlinuz-*"))
	newer, err2 := filepath.Glob(filepath.Join(root, "usr/lib/modules/*/vmlinuz"))
	if err := errors.Join(err1, err2); err != nil {
		return "", err
	}
	if images := append(older, newer...); len(images) == 1 {
		return images[0], nil
	} else {
		return "", fmt.Errorf("%v have kernels %v", debs, images)
	}
}
