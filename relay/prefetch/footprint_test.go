package prefetch

import (
	"testing"
	"unsafe"
)

func TestFootprint(t *testing.T) {
	mem := new([100 * line]byte)
	first := uintptr(line-uintptr(unsafe.Pointer(mem))%line) % line // where a line begins
	f := new(Footprint)
	Cover(f, &mem[first], 1)
	Cover(f, &mem[first+3*line-1], 2)
	Cover(f, &mem[first+10*line], 0)
	Cover[byte](f, nil, 1)
	for n, want := range []bool{true, false, true, true, false, false, false, false, false, false, false} {
		for _, at := range []uintptr{0, line - 1} {
			if got := f.Has(unsafe.Pointer(&mem[first+uintptr(n)*line+at])); got != want {
				t.Errorf("line %d: %v, want %v", n, got, want)
			}
		}
	}
	if n := testing.AllocsPerRun(10, func() { f.Lines(); Row(unsafe.Pointer(mem), uintptr(len(mem))) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	f.Reset()
	if f.Lines(); f.Has(unsafe.Pointer(&mem[first])) || f.Full() {
		t.Error("something is left")
	}
	Cover(f, &mem[first], uintptr(len(mem))-first)
	last := first + (Room-1)*line
	if !f.Full() || !f.Has(unsafe.Pointer(&mem[last])) || f.Has(unsafe.Pointer(&mem[last+line])) {
		t.Errorf("not the first %d lines of a hundred", Room)
	}
	f.Lines()
}

// TestAnywhere asks for lines where there is no memory.
func TestAnywhere(t *testing.T) {
	list := []int32{0, 1, -1, 1 << 30, -1 << 31}
	for _, own := range []uintptr{0, uintptr(unsafe.Pointer(&list[0])), ^uintptr(0)} {
		lines(own, &list[0], len(list))
		lines(own, &list[0], 0)
		lines(own, nil, -1)
		Row(unsafe.Pointer(nil), own)
	}
}
