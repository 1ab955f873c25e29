package ice

import (
	"net/netip"
	"time"
)

// Stats are counters since New, all sessions together.
type Stats struct {
	Requests      uint64 // checks from the peer, the bad ones included
	NoCredentials uint64 // of these: without USERNAME or MESSAGE-INTEGRITY
	BadUsername   uint64 // of these: not our ufrag
	BadPassword   uint64 // of these: MESSAGE-INTEGRITY wrong
	Early         uint64 // of these: before the peer's credentials were known
	RoleConflicts uint64

	UnknownAttributes uint64 // requests refused for attributes that we do not know
	Indications       uint64
	Malformed         uint64 // neither well-formed nor Binding
	BadFingerprint    uint64

	ChecksSent, Retransmits       uint64
	ChecksSucceeded, ChecksFailed uint64 // pairs
	ConsentSent                   uint64
	Responses                     uint64 // good ones
	BadResponses                  uint64 // not authenticated or unusable
	Asymmetric                    uint64 // answers from another address than was asked
	Unmatched                     uint64 // answers to nothing

	CandidatesIgnored uint64 // remote ones: TCP, host names, too many

	// LastGood is when the peer's newest authenticated check or answer came.
	LastGood time.Time
	// LastBad and LastBadFrom are the newest check with bad credentials.
	LastBad     time.Time
	LastBadFrom netip.AddrPort
}

// Selected is a selected pair.
type Selected struct {
	Component  int
	Local      int
	Remote     netip.AddrPort
	RemoteType CandidateType
	Nominated  bool
	// Old marks a pair from before a restart, kept until the new session has one.
	Old bool
	// LastConsent is when the peer last proved that it wants to receive; for an ICE-lite agent, when it last checked.
	LastConsent time.Time
}

// Early calls f for each source of an authenticated check that came before the peer's credentials were known.
func (a *Agent) Early(f func(local int, from netip.AddrPort)) {
	for i := range a.early {
		f(a.early[i].local, a.early[i].from)
	}
}

// PairStatus is one entry of the check list, for people.
type PairStatus struct {
	Component  int
	Local      int
	Remote     netip.AddrPort
	RemoteType CandidateType
	// Mapped is where the peer sees us, zero before its first answer. LocalReflexive says that this is no candidate
	// of ours.
	Mapped                    netip.AddrPort
	LocalReflexive            bool
	State                     PairState
	Nominated, Selected       bool
	Priority                  uint64
	Checks                    int // transactions, consent checks not counted
	RTT                       time.Duration
	LastRequest, LastResponse time.Time
}

// State is the agent's state.
func (a *Agent) State() State { return a.state }

// Controlling says whether the agent has the controlling role.
func (a *Agent) Controlling() bool { return a.controlling }

// RemoteLite says whether the peer is ICE-lite.
func (a *Agent) RemoteLite() bool { return a.remoteLite }

// Local returns the local credentials of the current session.
func (a *Agent) Local() Credentials { return a.gen.local }

// Remote returns the peer's credentials of the current session, and whether they are known.
func (a *Agent) Remote() (Credentials, bool) { return a.gen.remote, a.gen.known }

// Stats returns the counters.
func (a *Agent) Stats() Stats { return a.stats }

// Selected returns the pair selected for a component, if there is one.
func (a *Agent) Selected(component int) (Selected, bool) {
	if component < 1 || component > 2 || a.components[component].selected == nil {
		return Selected{}, false
	}
	p := a.components[component].selected
	s := Selected{
		Component: component, Local: p.local, Remote: p.remote.Addr, RemoteType: p.remote.Type,
		Nominated: p.nominated, Old: p.gen != a.gen, LastConsent: p.lastResponse,
	}
	if a.cfg.Lite {
		s.LastConsent = p.lastRequest
	}
	return s, true
}

// AppendPairs appends the check list of the current session to dst, in no order.
func (a *Agent) AppendPairs(dst []PairStatus) []PairStatus {
	for _, p := range a.pairs {
		dst = append(dst, PairStatus{
			Component: p.component, Local: p.local, Remote: p.remote.Addr, RemoteType: p.remote.Type,
			Mapped: p.mapped, LocalReflexive: p.reflexive, State: p.state,
			Nominated: p.nominated, Selected: p == a.components[p.component].selected, Priority: p.priority,
			Checks: p.checks, RTT: p.rtt, LastRequest: p.lastRequest, LastResponse: p.lastResponse,
		})
	}
	return dst
}
