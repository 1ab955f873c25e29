package srtp

import "slices"

// State is what a context remembers of one SSRC. It lets a flow move to another transformer and back, or survive a
// restart; the keys are not in it.
type State struct {
	SSRC uint32
	RTP  Progress
	RTCP Progress
}

// State is the state of one SSRC. False: there is none.
func (c *Context) State(ssrc uint32) (State, bool) {
	s := c.lookUp(ssrc)
	if s == nil {
		return State{}, false
	}
	return State{SSRC: s.ssrc, RTP: s.rtp, RTCP: s.rtcp}, true
}

// AppendStates appends the states of all SSRCs to dst, in no certain order.
func (c *Context) AppendStates(dst []State) []State {
	dst = slices.Grow(dst, 1+len(c.more))
	for s := range c.all() {
		dst = append(dst, State{SSRC: s.ssrc, RTP: s.rtp, RTCP: s.rtcp})
	}
	return dst
}

// SetState replaces the state of one SSRC, or makes it. A progress that goes back re-opens the door to replays, and for
// sending uses the key stream twice: who moves a flow has to stop it on the one side first.
func (c *Context) SetState(st State) {
	s := c.find(st.SSRC)
	if s == nil {
		s = c.add(st.SSRC)
	}
	c.touch(s)
	s.rtp, s.rtcp = st.RTP, st.RTCP
}
