package ice

import "net/netip"

// ActionKind tells which fields of an [Action] count.
type ActionKind uint8

const (
	// Send asks for Packet to be sent from the socket of Local to Remote.
	Send ActionKind = iota + 1
	// SelectedPair says that media of Component goes from Local to Remote from now on. It comes first with Nominated
	// false, for the best pair proven so far, and again with Nominated true; a later one replaces an earlier one.
	SelectedPair
	// StateChanged carries the new State.
	StateChanged
	// ConsentLost says that the peer left the pair Local, Remote of Component without an answer for 30 s: nothing more
	// may be sent there. A SelectedPair follows should the peer come back.
	ConsentLost
	// RoleChanged carries Controlling: a role conflict was resolved, or the peer turned out to be ICE-lite.
	RoleChanged
)

// String is for logs and tests.
func (k ActionKind) String() string {
	return [...]string{"none", "send", "selected-pair", "state", "consent-lost", "role"}[k]
}

// Action is one thing that the agent wants done or known.
type Action struct {
	Kind        ActionKind
	Component   int
	Local       int // index into Config.Locals
	Remote      netip.AddrPort
	Packet      []byte
	Nominated   bool
	Controlling bool
	State       State
}

// State is where an agent stands.
type State uint8

const (
	// StateNew has no remote credentials yet; checks are answered and remembered.
	StateNew State = iota
	// StateChecking looks for pairs.
	StateChecking
	// StateConnected has a proven pair for each component; nomination is under way.
	StateConnected
	// StateCompleted has a nominated pair for each component.
	StateCompleted
	// StateFailed found no pair, or consent was lost. Checks from the peer are still answered and can revive it.
	StateFailed
)

// String is for logs, queries and tests.
func (s State) String() string {
	return [...]string{"new", "checking", "connected", "completed", "failed"}[s]
}

// Actions returns what has gathered since it was last called, in order. The slice and the packets in it are the
// agent's: they are valid until the next call of any other method.
func (a *Agent) Actions() []Action {
	if a.drained {
		return nil
	}
	a.drained = true
	return a.actions
}

// act appends an action, first dropping those that were already handed out.
func (a *Agent) act(x Action) {
	if a.drained {
		a.drained = false
		a.actions, a.arena = a.actions[:0], a.arena[:0]
	}
	if x.Kind == Send {
		// A growing arena moves, but earlier packets keep the array they were written to.
		start := len(a.arena)
		a.arena = append(a.arena, x.Packet...)
		x.Packet = a.arena[start:len(a.arena):len(a.arena)]
	}
	a.actions = append(a.actions, x)
}
