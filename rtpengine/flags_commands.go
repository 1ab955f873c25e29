package rtpengine

// commandRows are the commands of the protocol.
func commandRows() []FlagRow {
	const player = "nothing is played, recorded or transcoded"
	rows := []FlagRow{
		{Name: "ping", Tier: 'A', Note: "answers pong"},
		{Name: "offer", Tier: 'A', Note: "SDP of the side that calls"},
		{Name: "answer", Tier: 'A', Note: "SDP of the side that is called"},
		{Name: "delete", Tier: 'A', Note: "ends a call or a branch of it"},
		{Name: "query", Tier: 'A', Note: "state and statistics of a call"},
		{Name: "list", Tier: 'B', Note: "call-ids"},
		{Name: "statistics", Tier: 'B', Note: "statistics of the daemon"},
		{Name: "block media", Tier: 'A', Note: "the party's media are dropped"}, {Name: "unblock media", Tier: 'A', Note: "ends it"},
		{Name: "silence media", Tier: 'B', Note: "the party's audio becomes silence"}, {Name: "unsilence media", Tier: 'B', Note: "ends it"},
		{Name: "block DTMF", Tier: 'A', Note: "DTMF events of the party are dropped"}, {Name: "unblock DTMF", Tier: 'A', Note: "ends it"},
		{Name: "start forwarding", Tier: 'A', Note: "a copy of the party's media goes elsewhere"}, {Name: "stop forwarding", Tier: 'A', Note: "ends it"},
		{Name: "publish", Tier: 'B', Note: "a party that only sends"},
		{Name: "subscribe request", Tier: 'A', Note: "an offer of what parties send, for a third"}, {Name: "subscribe answer", Tier: 'A', Note: "its answer"}, {Name: "unsubscribe", Tier: 'A', Note: "ends it"},
		{Name: "connect", Tier: 'C', Note: "two parties hear each other"}, {Name: "mesh", Tier: 'C', Note: "parties of several calls hear each other"},
		{Name: "create", Tier: 'C', Note: "an offer made here"}, {Name: "create answer", Tier: 'C', Note: "its answer"},
		{Name: "cli", Tier: 'C', Note: "a line of the operator's console"},
		{Name: "start recording", Tier: 'A', Note: player}, {Name: "stop recording", Tier: 'A', Note: player},
		{Name: "pause recording", Tier: 'A', Note: player},
		{Name: "play media", Tier: 'A', Note: player}, {Name: "stop media", Tier: 'A', Note: player},
		{Name: "play DTMF", Tier: 'A', Note: player},
		{Name: "inject start", Tier: 'C', Note: player}, {Name: "inject stop", Tier: 'C', Note: player},
		{Name: "transform", Tier: 'C', Note: player},
	}
	for i := range rows {
		rows[i].In = commandBits[rows[i].Name]
		if commandsDone[rows[i].Name] {
			continue
		}
		rows[i].Status = FlagRefused
	}
	return rows
}

// commandsDone are the commands that this build carries out.
var commandsDone = map[string]bool{
	"ping": true, "offer": true, "answer": true, "delete": true, "query": true, "list": true, "statistics": true,
	"block media": true, "unblock media": true, "silence media": true, "unsilence media": true,
	"block DTMF": true, "unblock DTMF": true, "start forwarding": true, "stop forwarding": true,
	"connect": true, "mesh": true, "create": true, "create answer": true, "cli": true,
	"publish": true, "subscribe request": true, "subscribe answer": true, "unsubscribe": true,
}
