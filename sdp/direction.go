package sdp

var directionNames = [...]string{SendRecv: "sendrecv", SendOnly: "sendonly", RecvOnly: "recvonly", Inactive: "inactive"}

// String is the attribute's name; DirectionDefault reads "sendrecv", as it counts.
func (d Direction) String() string {
	if d == DirectionDefault {
		d = SendRecv
	}
	return directionNames[d]
}

// Sends and Receives tell what the party that wrote the direction does.
func (d Direction) Sends() bool    { return d != RecvOnly && d != Inactive }
func (d Direction) Receives() bool { return d != SendOnly && d != Inactive }

// parseDirection is the direction that an attribute's name says, DirectionDefault when it says none.
func parseDirection(key string) Direction {
	switch key {
	case "sendrecv":
		return SendRecv
	case "sendonly":
		return SendOnly
	case "recvonly":
		return RecvOnly
	case "inactive":
		return Inactive
	}
	return DirectionDefault
}
