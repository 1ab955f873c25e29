// Package page holds the built web page of the conference, so that a program carries it in itself. It is written in
// TypeScript (src, test) and built by npm into dist, which is committed: `go build` needs no npm. A test checks that dist
// is what the sources give.
package page

import (
	"embed"
	"io/fs"
)

//go:generate sh -c "if command -v npm >/dev/null; then npm ci --silent && npm run --silent build; else echo 'no npm here: page/dist stays as it is'; fi"

//go:embed dist
var dist embed.FS

// Files is the page: index.html and what it loads.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // only an invalid path gives one
	}
	return files
}
