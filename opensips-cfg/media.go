package opensipscfg

// Cell is one entry of a flag table: what the relay is told when an SDP body goes from one kind of party to another.
type Cell struct {
	Message  string // offer or answer
	From, To string // sender and receiver of the body: ws or plain
	Flags    string
}

// The modern table carries media between browsers and phones of today in all cells. A browser wants rtcp-mux, which has to
// be said in the offer, and no second keying method beside DTLS; the relay must be the only candidate between browsers.
var modernTable = []Cell{
	{"offer", "ws", "ws", "ICE=force replace-origin"},
	{"offer", "ws", "plain", "RTP/AVP ICE=remove rtcp-mux-demux replace-origin"},
	{"offer", "plain", "ws", "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer SDES-off replace-origin"},
	{"offer", "plain", "plain", "RTP/AVP ICE=remove replace-origin"},
	{"answer", "ws", "ws", "ICE=force replace-origin"},
	{"answer", "ws", "plain", "RTP/AVP ICE=remove replace-origin"},
	{"answer", "plain", "ws", "UDP/TLS/RTP/SAVPF ICE=force replace-origin"},
	{"answer", "plain", "plain", "RTP/AVP ICE=remove replace-origin"},
}

// The table of 2015 as its scripts had it, with the one word that browsers have asked for since: rtcp-mux in offers that
// cross from a browser to a phone or back.
var table2015 = []Cell{
	{"offer", "ws", "ws", "ICE=force-relay DTLS=passive"},
	{"offer", "ws", "plain", "RTP/AVP replace-session-connection replace-origin ICE=remove rtcp-mux-demux"},
	{"offer", "plain", "ws", "UDP/TLS/RTP/SAVPF ICE=force rtcp-mux-offer"},
	{"offer", "plain", "plain", "RTP/AVP replace-session-connection replace-origin ICE=remove"},
	{"answer", "ws", "ws", "ICE=force-relay DTLS=passive"},
	{"answer", "ws", "plain", "RTP/AVP replace-session-connection replace-origin ICE=remove"},
	{"answer", "plain", "ws", "UDP/TLS/RTP/SAVPF ICE=force"},
	{"answer", "plain", "plain", "RTP/AVP replace-session-connection replace-origin ICE=remove"},
}

// MediaTable returns the eight cells of the table called name, modern or 2015; nil if there is none. Callers do not
// change it.
func MediaTable(name string) []Cell {
	switch name {
	case "modern":
		return modernTable
	case "2015":
		return table2015
	}
	return nil
}
