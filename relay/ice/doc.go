// Package ice is an ICE agent without sockets, clocks or goroutines: STUN datagrams and the time go in, a list of
// [Action] comes out, and [Agent.NextDeadline] says when to call again.
//
//	a := ice.New(cfg)
//	a.SetRemote(now, remote)          // from signalling
//	a.Input(now, local, from, packet) // from the socket of Locals[local]
//	a.Tick(now)                       // at or after NextDeadline
//	for _, act := range a.Actions() { … } // after each of these
//
// One agent serves one transport: a media section or a bundle, with component 1 (RTP, or RTP and RTCP together) and
// possibly component 2 (RTCP). It has no lock; whoever calls it makes sure that one goroutine does at a time.
//
// It follows RFC 8445 with regular nomination, RFC 7675 (consent), RFC 8838 (trickle), RFC 8863 (patience before
// failure), and tolerates RFC 5245 peers with aggressive nomination and peers that nominate anew. A pair is selected
// only after a check on it was answered with the right password; as an ICE-lite agent, which sends no checks, after
// an authenticated check with USE-CANDIDATE came in. Two lite agents can prove nothing to each other: then there is no
// use in an agent.
//
// A peer that leads is sent one check more than RFC 8445 asks for, over a pair that both have proven: see prompt.
//
// Life of one check: [Agent.SetRemote] forms pairs (candidate.go, pair.go), pace sends one request each 20 ms
// (check.go), the answer comes back by [Agent.Input] (input.go, response.go) and may select the pair (nominate.go).
package ice
