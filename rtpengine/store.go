package rtpengine

// Store keeps calls beyond the life of the process. It is called with the call's mutex held and must not block on a
// network: implementations queue.
type Store interface {
	Save(c *Call)     // after each command that changed c
	Delete(id string) // the call has ended
	Close() error
}
