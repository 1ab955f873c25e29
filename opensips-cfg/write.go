package opensipscfg

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// secretFile keeps the secret that was made up for a directory, so that rendering again changes nothing.
const secretFile = "secret"

// RenderTo renders into dir, which is made if need be, and returns the paths of the files that changed. A missing
// Secret is taken from dir, or made up and kept there. Files of rooms that are off now are removed.
func RenderTo(dir string, v Values) (changed []string, err error) {
	made := false
	if v.Secret == "" {
		if v.Secret, made, err = keptSecret(dir); err != nil {
			return nil, err
		}
	}
	files, err := Render(v)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if made {
		files = append(files, File{secretFile, []byte(v.Secret + "\n"), true})
	}
	written := map[string]bool{}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		written[f.Name] = true
		did, err := writeFile(path, f)
		if err != nil {
			return changed, err
		}
		if did {
			changed = append(changed, path)
		}
	}
	for _, r := range append(rooms, room{name: "schema.sql"}) {
		if written[r.name] {
			continue
		}
		switch err := os.Remove(filepath.Join(dir, r.name)); {
		case err == nil:
			changed = append(changed, filepath.Join(dir, r.name))
		case !errors.Is(err, fs.ErrNotExist):
			return changed, err
		}
	}
	return changed, nil
}

func keptSecret(dir string) (secret string, made bool, err error) {
	b, err := os.ReadFile(filepath.Join(dir, secretFile))
	if errors.Is(err, fs.ErrNotExist) {
		return (rand.Text() + rand.Text())[:32], true, nil
	}
	return strings.TrimSpace(string(b)), false, err
}

// writeFile replaces a file whose content or mode differs, at once for who reads it.
func writeFile(path string, f File) (changed bool, err error) {
	mode := fs.FileMode(0o644)
	if f.Secret {
		mode = 0o640 // the group is the proxy's, set by who installs
	}
	if old, err := os.ReadFile(path); err == nil && string(old) == string(f.Content) {
		info, err := os.Stat(path)
		if err != nil || info.Mode().Perm() == mode {
			return false, err
		}
		return true, os.Chmod(path, mode)
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), "."+f.Name+"-*")
	if err != nil {
		return false, err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()
			_ = os.Remove(tmp.Name())
		}
	}()
	if _, err := tmp.Write(f.Content); err != nil {
		return false, err
	}
	if err := tmp.Chmod(mode); err != nil {
		return false, err
	}
	if err := keepOwner(path, tmp); err != nil {
		return false, err
	}
	if err := tmp.Close(); err != nil {
		return false, err
	}
	return true, os.Rename(tmp.Name(), path)
}
