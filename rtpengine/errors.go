package rtpengine

import "errors"

// reason is an error whose text goes to the client as error-reason, letter for letter: proxies match on some of them.
type reason string

// Error is the text.
func (r reason) Error() string { return string(r) }

// NGReason is the text a client sees.
func (r reason) NGReason() string { return string(r) }

// The texts of the protocol. "Unknown call" has several spellings, each of its own commands.
const (
	errUnknownCommand  reason = "Unrecognized command"
	errNoCallID        reason = "No call-id in message"
	errNoFromTag       reason = "No from-tag in message"
	errNoToTag         reason = "No to-tag in message"
	errNoSDP           reason = "No SDP body in message"
	errParseSDP        reason = "Failed to parse SDP"
	errIncompleteSDP   reason = "Incomplete SDP specification"
	errUnknownCallID   reason = "Unknown call-id"
	errUnknownCall     reason = "Unknown call-ID"
	errDialogue        reason = "Invalid dialogue association"
	errNoPorts         reason = "Ran out of ports"
	errNotFound        reason = "Call-ID not found or tags didn't match"
	errLimit           reason = "invalid limit, must be >= 0"
	errToTagNotFound   reason = "To-tag not found"
	errNoLabel         reason = "No monologue matching the given label"
	errBadAddress      reason = "Failed to parse network address"
	errNoAddress       reason = "Failed to match address to any tag"
	errNoSuchFromTag   reason = "From-tag given, but no such tag exists"
	errNoParty         reason = "No participant party specified"
	errFlowToTag       reason = "Media flow not found (to-tag not found)"
	errFlowToLabel     reason = "Media flow not found (to-label not found)"
	errFlowUnconnected reason = "Media flow not found (to-tag not subscribed)"
	errNoSources       reason = "No eligible media subscriptions found"
	errNoMedias        reason = "No medias found (no monologues matched)"
	errSubscription    reason = "Failed to process subscription answer"
	errUnsubscribe     reason = "Failed to unsubscribe"
	errConnectFrom     reason = "Given from-tag not found"
	errConnectTo       reason = "Given to-tag not found"
	errTagCollision    reason = "Failed to merge two calls into one (tag collision)"
	errMeshCalls       reason = "Unknown call ID(s)"
	errMeshCollision   reason = "Failed to merge calls (tag collision)"
	errCreateCall      reason = "unknown call-ID"
	errCreateTag       reason = "from-tag not found"
	errCreateAnswer    reason = "failed to perform answer"
	errNoBody          reason = "No 'body' in message"
	errNoConsole       reason = "unsupported"
	errInternal        reason = "Internal error"
)

// loadLimit refuses a new call because the daemon is full. A client that understands the result "load limit" gets
// that, any other gets an error with the text of the session limit, which is the one they all know.
type loadLimit string

// The limits.
const (
	limitSessions  loadLimit = "Parallel session limit reached"
	limitCPU       loadLimit = "CPU usage limit exceeded"
	limitLoad      loadLimit = "Load limit exceeded"
	limitBandwidth loadLimit = "Bandwidth limit exceeded"
)

// Error is the text.
func (l loadLimit) Error() string { return string(l) }

// NGReason is the text for clients that know no "load limit" result.
func (l loadLimit) NGReason() string { return string(limitSessions) }

// ngReason is what err says to a client: its own reason, or that of the first error it wraps that has one.
func ngReason(err error) string {
	var r interface{ NGReason() string }
	if errors.As(err, &r) {
		return r.NGReason()
	}
	return string(errInternal)
}
