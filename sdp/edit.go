package sdp

// EditOp is a command of the sdp-attr key.
type EditOp uint8

// The commands.
const (
	EditAdd EditOp = iota
	EditRemove
	EditSubstitute
)

// Edit is one sdp-attr instruction: for sections of media type Section ("" is the session level), add the line a=Arg,
// remove what Arg names, or substitute what Arg names by With.
type Edit struct {
	Section string
	Op      EditOp
	Arg     string
	With    string
}
