package ebpf

// Null is the table of a machine, or a configuration, without fast path. Reason is the error that says why; nil stands
// for ErrUnsupported.
type Null struct {
	Reason error
}

// Put gives the reason, always.
func (n Null) Put(FlowKey, Action) error {
	if n.Reason != nil {
		return n.Reason
	}
	return ErrUnsupported
}

// Start finds no flow.
func (Null) Start(FlowKey, Source) (bool, error) { return false, ErrNoFlow }

// Delete finds no flow.
func (Null) Delete(FlowKey) (Counter, error) { return Counter{}, ErrNoFlow }

// Counter finds no flow.
func (Null) Counter(FlowKey) (Counter, error) { return Counter{}, ErrNoFlow }

// Counters appends nothing.
func (Null) Counters(dst []Counter) ([]Counter, error) { return dst, nil }

// Status is zero.
func (Null) Status() Status { return Status{} }

// Close does nothing.
func (Null) Close() error { return nil }
