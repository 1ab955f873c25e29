// Package prefetch brings memory into the processor's caches before it is needed. With thousands of calls nothing of the next one
// is there, and whoever handles it waits for one line after the other, as each says where the next one is. So a footprint keeps
// which lines that were the last time: they come at the same time, and while something else is done.
package prefetch

import "unsafe"

const (
	line = 64 // bytes
	// Room is how many lines a footprint has room for.
	Room = 63
)

// Footprint is lines of memory, as distances from its own. It keeps nothing alive and may be out of date: then others are fetched
// in vain. It must not be copied; it is for one goroutine at a time.
type Footprint struct {
	n    int32
	room [Room]int32
}

// Reset forgets all lines.
func (f *Footprint) Reset() { f.n = 0 }

// Full says that there is no room for more.
func (f *Footprint) Full() bool { return f.n == Room }

// Cover adds the lines of size bytes at a place, as far as there is room. Nothing is at nil.
func Cover[T any](f *Footprint, at *T, size uintptr) {
	if at == nil || size == 0 {
		return
	}
	own, from := uintptr(unsafe.Pointer(f))/line, uintptr(unsafe.Pointer(at))
	for l := from / line; l <= (from+size-1)/line && !f.Full(); l++ {
		if d := int64(l - own); d == int64(int32(d)) {
			f.room[f.n] = int32(d)
			f.n++
		}
	}
}

// Has tells whether the line of an address is among them.
func (f *Footprint) Has(at unsafe.Pointer) bool {
	own := uintptr(unsafe.Pointer(f)) / line
	for _, d := range f.room[:f.n] {
		if own+uintptr(d) == uintptr(at)/line {
			return true
		}
	}
	return false
}

// Lines asks for all of them, without waiting.
func (f *Footprint) Lines() { lines(uintptr(unsafe.Pointer(f)), &f.room[0], int(f.n)) }

// row are lines one after the other.
var row = [...]int32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}

// Row asks for the lines of size bytes at a place, as far as there are twelve, without waiting. There need not be memory.
func Row(at unsafe.Pointer, size uintptr) {
	n := (uintptr(at)%line + size + line - 1) / line
	lines(uintptr(at), &row[0], min(int(n), len(row)))
}
