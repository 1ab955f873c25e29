package rtpengine

import (
	"time"

	"rtpsidecar/ng"
)

// keyRows are the keys of the request dictionary.
func keyRows() []FlagRow {
	return []FlagRow{
		// Who and what.
		{Name: "command", In: inAll, Tier: 'A', Note: "the command; read before the flags are"},
		{Name: "call-id", Also: []string{"callid"}, In: inAll, Tier: 'A', Note: "the call; compared byte by byte", Example: "call-id=abc@host",
			set: keepText("call-id", func(f *Flags) *string { return &f.CallID })},
		{Name: "from-tag", In: inAll, Tier: 'A', Note: "the party that sent the SDP, or that is acted on", Example: "from-tag=1928",
			set: keepText("from-tag", func(f *Flags) *string { return &f.FromTag })},
		{Name: "to-tag", In: inAll, Tier: 'A', Note: "the other party", Example: "to-tag=a6c8",
			set: keepText("to-tag", func(f *Flags) *string { return &f.ToTag })},
		{Name: "via-branch", In: inBoth | InDelete, Tier: 'A', Note: "tells forked branches apart", Example: "via-branch=z9hG4bK77",
			set: keepText("via-branch", func(f *Flags) *string { return &f.ViaBranch })},
		{Name: "sdp", In: inSDP, Tier: 'A', Note: "the SDP body", set: keepText("sdp", func(f *Flags) *string { return &f.SDP })},
		{Name: "flags", In: inAll, Tier: 'A', Note: "list of words, see below", Example: "flags=[trust-address asymmetric]", set: words},
		{Name: "rtpp-flags", In: inAll, Tier: 'B', Note: "the proxy's flag string, parsed here; overrides the other keys",
			set: rtppString},
		{Name: "template", In: inAll, Tier: 'B', Note: "a signalling template of the configuration, applied before the other keys", Example: "template=webrtc",
			set: func(*flagParser, string, ng.Value) {}},
		{Name: "supports", In: inNew | inPick, Tier: 'A', Note: "what the client understands", Example: "supports=[load..limit]", set: pick("supports")},
		{Name: "sip-message-type", In: inBoth, Tier: 'B', Note: "request or reply", Example: "sip-message-type=request", set: pick("sip-message-type")},
		{Name: "sip-code", Also: []string{"sip-response-code"}, In: inBoth, Tier: 'B', Note: "status code of the SIP reply", Example: "sip-code=200",
			set: keepInt("sip-code", func(f *Flags, n int64) { f.SIPCode = int(n) })},
		{Name: "received-from", In: inBoth, Tier: 'A', Note: "source address of the SIP message", Example: "received-from=192.0.2.7", set: receivedFrom},

		// Selection of parties.
		{Name: "label", Also: []string{"from-label"}, In: inSDP | inPick, Tier: 'B', Note: "selects a party by its label; names the party in offer and answer", Example: "label=caller",
			set: keepText("label", func(f *Flags) *string { return &f.Label })},
		{Name: "set-label", In: inSDP, Tier: 'B', Note: "names the party", Example: "set-label=caller",
			set: keepText("set-label", func(f *Flags) *string { return &f.SetLabel })},
		{Name: "to-label", In: inPick, Tier: 'B', Note: "selects the receiving party by its label", Example: "to-label=callee",
			set: keepText("to-label", func(f *Flags) *string { return &f.ToLabel })},
		{Name: "address", In: inPick, Tier: 'B', Note: "selects the party by the address in its SDP", Example: "address=192.0.2.7",
			set: func(p *flagParser, _ string, v ng.Value) {
				p.f.HasAddress = true
				p.f.Address, _ = flagAddr(flagText(v))
			}},
		{Name: "all", In: inPick | InConnect, Tier: 'B', Note: "selects several parties", Example: "all=offer-answer", set: pick("all")},
		{Name: "from-tags", In: InSubscribe | InConnect, Tier: 'B', Note: "several source parties", Example: "from-tags=[a b]",
			set: keepTexts(func(f *Flags) *[]string { return &f.FromTags })},
		{Name: "to-call-id", In: InConnect, Tier: 'C', Note: "the call of the to-tag", Example: "to-call-id=xyz",
			set: keepText("to-call-id", func(f *Flags) *string { return &f.ToCallID })},
		{Name: "alias-key", In: InOffer, Tier: 'C', Note: "by what an unknown from-tag is recognised as another name of a known one", Example: "alias-key=SDP", set: pick("alias-key")},
		{Name: "calls", In: InMesh, Tier: 'C', Note: "call-ids to connect with each other", Example: "calls=[a b]",
			set: keepTexts(func(f *Flags) *[]string { return &f.Calls })},
		{Name: "tags", In: InMesh, Tier: 'C', Note: "which tags hear which", set: meshTags},
		{Name: "medias", Also: []string{"media"}, In: InCreate | InTransform, Tier: 'C', Note: "sections of the offer to create: types, or dictionaries of type and codecs", Example: "medias=[audio video]",
			set: mediaWishes},
		{Name: "limit", In: InList, Tier: 'B', Note: "most call-ids to return, 32 when absent", Example: "limit=100",
			set: keepInt("limit", func(f *Flags, n int64) { f.Limit = &n })},
		{Name: "delete-delay", In: InDelete, Tier: 'A', Note: "seconds until the media stop; 0: at once", Example: "delete-delay=0",
			set: keepInt("delete-delay", func(f *Flags, n int64) {
				d := units(n, time.Second)
				f.DeleteDelay = &d
			})},
		{Name: "body", In: InCLI, Tier: 'C', Note: "the line of the operator's console", set: keepText("body", func(f *Flags) *string { return &f.Body })},

		// Addresses and interfaces.
		{Name: "direction", In: inBoth, Tier: 'A', Note: "logical interfaces of the sender's and of the receiver's side; the sender of an answer is served from its own in the next offer", Example: "direction=[internal external]", set: directions},
		{Name: "from-interface", Also: []string{"in-iface"}, In: inBoth, Tier: 'B', Note: "interface of the sender's side", Example: "from-interface=internal",
			set: keepText("from-interface", func(f *Flags) *string { return &f.Direction[0] })},
		{Name: "to-interface", Also: []string{"out-iface"}, In: inBoth, Tier: 'B', Note: "interface of the receiver's side", Example: "to-interface=external",
			set: keepText("to-interface", func(f *Flags) *string { return &f.Direction[1] })},
		{Name: "interface", In: InPublish | InSubscribe | InCreate, Tier: 'B', Note: "the interface", Example: "interface=external",
			set: keepText("interface", func(f *Flags) *string { return &f.Interface })},
		{Name: "inbound-peer", In: InOffer, Tier: 'C', Note: "interface of the sender's side by the route to this address", Example: "inbound-peer=192.0.2.7", set: keepAddr("inbound-peer", inboundPeer)},
		{Name: "outbound-peer", In: InOffer, Tier: 'C', Note: "interface of the receiver's side by the route to this address", Example: "outbound-peer=192.0.2.9", set: keepAddr("outbound-peer", outboundPeer)},
		{Name: "peer", In: InPublish | InSubscribe | InCreate, Tier: 'C', Note: "interface by the route to this address", Example: "peer=192.0.2.7", set: keepAddr("peer", onePeer)},
		{Name: "address-family", In: InOffer, Tier: 'A', Note: "address family in the SDP made", Example: "address-family=IP6", set: pick("address-family")},
		{Name: "media-address", In: inBoth, Tier: 'A', Note: "printed instead of the own address; sockets stay", Example: "media-address=203.0.113.5",
			set: keepText("media-address", func(f *Flags) *string { return &f.MediaAddress })},

		// Transport.
		{Name: "transport-protocol", In: inSDP &^ InPublish, Tier: 'A', Note: "protocol of the m= line and on the wire; accept: take over what the answer changed", Example: "transport-protocol=RTP/SAVPF", set: transport},
		{Name: "ICE", In: inSDP, Tier: 'A', Note: "list or string", Example: "ICE=force", set: pick("ICE")},
		{Name: "ICE-lite", In: InOffer, Tier: 'B', Note: "towards whom to be an ICE-lite agent", Example: "ICE-lite=forward", set: pick("ICE-lite")},
		{Name: "DTLS", In: inSDP, Tier: 'A', Note: "list or string; acts on the party whose offer is answered, in offer and answer alike", Example: "DTLS=passive", set: pick("DTLS")},
		{Name: "DTLS-reverse", In: inSDP, Tier: 'B', Status: FlagDiffers, Note: "the same towards the offerer, as 10.5 has it; the newest reference treats it as DTLS", Example: "DTLS-reverse=passive", set: pick("DTLS-reverse")},
		{Name: "DTLS-fingerprint", In: inSDP, Tier: 'B', Note: "digest of a=fingerprint", Example: "DTLS-fingerprint=sha-1", set: pick("DTLS-fingerprint")},
		{Name: "SDES", In: inSDP, Tier: 'A', Note: "list", Example: "SDES=[no-AES_256_CM_HMAC_SHA1_80 pad]", set: pick("SDES")},
		{Name: "OSRTP", In: inSDP, Tier: 'B', Note: "list", Example: "OSRTP=offer", set: pick("OSRTP")},
		{Name: "rtcp-mux", In: inSDP, Tier: 'A', Note: "list", Example: "rtcp-mux=[offer require]", set: pick("rtcp-mux")},
		{Name: "bundle", In: inSDP, Tier: 'B', Note: "list", Example: "bundle=[accept offer]", set: pick("bundle")},
		{Name: "generate-RTCP", In: inBoth, Tier: 'B', Note: "consume RTCP and send own reports", Example: "generate-RTCP=on", set: pick("generate-RTCP")},
		{Name: "TOS", In: InOffer, Tier: 'B', Note: "of the whole call; negative leaves packets alone, above 255 the daemon's own", Example: "TOS=184",
			set: keepInt("TOS", func(f *Flags, n int64) { f.TOS = TOS{Set: true, Value: int(min(max(n, -1), 256))} })},

		// Codecs and text.
		{Name: "codec", Also: []string{"codecs"}, In: inSDP, Tier: 'A', Note: "dictionary of lists", Example: "codec=[strip=[opus] offer=[PCMA PCMU]]", set: pickDict("codec")},
		{Name: "ptime", In: InOffer | InSubscribe | InCreate, Tier: 'B', Status: FlagDiffers, Note: "a=ptime in this and later messages to the receiver; it gets G.711 and G.722 in packets of that time, other codecs as they come", Example: "ptime=20",
			set: keepInt("ptime", func(f *Flags, n int64) { f.PTime = units(n, time.Millisecond) })},
		{Name: "ptime-reverse", Also: []string{"reverse-ptime"}, In: InOffer | InSubscribe | InCreate, Tier: 'B', Status: FlagDiffers, Note: "as ptime, towards the offerer", Example: "ptime-reverse=20",
			set: keepInt("ptime-reverse", func(f *Flags, n int64) { f.PTimeReverse = units(n, time.Millisecond) })},
		{Name: "repacketize", In: inSDP, Tier: 'C', Status: FlagNoEffect, Note: "the reference ignores it too; see ptime", Example: "repacketize=20"},
		{Name: "sdp-attr", In: inBoth, Tier: 'B', Note: "dictionary of section, command, list", Example: "sdp-attr=[audio=[add=[ptime:20]]]", set: sdpAttr},
		{Name: "sdp-media-remove", In: inBoth, Tier: 'A', Note: "sections of these media types are not shown to the receiver", Example: "sdp-media-remove=[video]",
			set: keepTexts(func(f *Flags) *[]string { return &f.MediaRemove })},
		{Name: "replace", In: inBoth, Tier: 'A', Note: "list", Example: "replace=[origin]", set: pick("replace")},
		{Name: "extmap", In: inBoth, Tier: 'B', Note: "dictionary of lists of URIs, or all", Example: "extmap=[strip=[urn:ietf:params:rtp-hdrext:toffset]]", set: pickDict("extmap")},

		// Media path.
		{Name: "endpoint-learning", In: inBoth, Tier: 'B', Note: "how the source of packets is learnt", Example: "endpoint-learning=immediate", set: pick("endpoint-learning")},
		{Name: "drop-traffic", In: inBoth, Tier: 'B', Note: "drop all RTP of the call", Example: "drop-traffic=start", set: pick("drop-traffic")},
		{Name: "media-echo", In: InOffer, Tier: 'B', Note: "discard media or send it back", Example: "media-echo=both", set: pick("media-echo")},
		{Name: "passthrough", Also: []string{"passthru"}, In: InOffer, Tier: 'C', Note: "treat media as opaque bytes", Example: "passthrough=on", set: pick("passthrough")},
		{Name: "delay-buffer", In: inBoth, Tier: 'C', Status: FlagDiffers, Note: "0 is accepted, a delay is refused: media are never held back", Example: "delay-buffer=0",
			set: delayBuffer},
		{Name: "audio-player", Also: []string{"player"}, In: inBoth, Tier: 'B', Note: "own continuous audio stream", Example: "audio-player=off", set: pick("audio-player")},
		{Name: "metadata", In: inBoth | InRecording | InForwarding, Tier: 'A', Note: "text kept with the call", Example: "metadata=foo:bar",
			set: keepText("metadata", func(f *Flags) *string { return &f.Metadata })},
		{Name: "xmlrpc-callback", In: InOffer, Tier: 'B', Note: "address that stands for %% in the call-back URL", Example: "xmlrpc-callback=192.0.2.1",
			set: keepText("xmlrpc-callback", func(f *Flags) *string { return &f.XMLRPCCallback })},

		// Recording.
		{Name: "record-call", In: inBoth, Tier: 'A', Note: "records the whole call", Example: "record-call=yes", set: pick("record-call")},
		{Name: "output-destination", Also: []string{"output-dest", "output-file", "recording-destination", "recording-dest", "recording-file"},
			In: InRecording, Tier: 'B', Status: FlagNoEffect, Note: "recording itself is refused", Example: "output-destination=/var/spool/a.wav"},
		{Name: "recording-dir", Also: []string{"recording-path", "recording-folder", "recording-directory", "output-dir", "output-path", "output-folder", "output-directory"},
			In: InRecording, Tier: 'B', Status: FlagNoEffect, Note: "recording itself is refused", Example: "recording-dir=/var/spool"},
		{Name: "recording-pattern", Also: []string{"output-pattern"}, In: InRecording, Tier: 'C', Status: FlagNoEffect, Note: "recording itself is refused", Example: "recording-pattern=%c"},
		{Name: "recording-media-slots", In: InRecording, Tier: 'C', Status: FlagNoEffect, Note: "recording itself is refused", Example: "recording-media-slots=2"},
		{Name: "recording-media-slot-offer", In: InRecording, Tier: 'C', Status: FlagNoEffect, Note: "recording itself is refused", Example: "recording-media-slot-offer=1"},
		{Name: "recording-media-slot-answer", In: InRecording, Tier: 'C', Status: FlagNoEffect, Note: "recording itself is refused", Example: "recording-media-slot-answer=2"},
		{Name: "pause", In: InRecording | InPlayDTMF, Tier: 'A', Status: FlagNoEffect, Note: "of stop recording and play DTMF, which are refused", Example: "pause=yes"},
		vsc("start"), vsc("stop"), vsc("start-stop"), vsc("pause"), vsc("pause-resume"), vsc("start-pause-resume"),

		// DTMF, player, fax.
		{Name: "DTMF-security", In: inBoth | InBlockDTMF, Tier: 'B', Note: "what stands for blocked DTMF events", Example: "DTMF-security=drop", set: pick("DTMF-security")},
		{Name: "trigger", In: inBoth | InBlockDTMF, Tier: 'C', Status: FlagRefused, Note: "digits that switch the mode: blocking does not depend on digits", Example: "trigger=12*"},
		{Name: "trigger-end", Also: []string{"end-trigger"}, In: inBoth | InBlockDTMF, Tier: 'C', Status: FlagNoEffect, Note: "digits that switch it back: of trigger, which is refused", Example: "trigger-end=#"},
		{Name: "trigger-end-time", Also: []string{"end-trigger-time"}, In: inBoth | InBlockDTMF, Tier: 'C', Status: FlagNoEffect, Note: "of trigger, which is refused", Example: "trigger-end-time=10000"},
		{Name: "trigger-end-digits", Also: []string{"end-trigger-digits"}, In: inBoth | InBlockDTMF, Tier: 'C', Status: FlagNoEffect, Note: "of trigger, which is refused", Example: "trigger-end-digits=4"},
		{Name: "DTMF-security-trigger", In: inBoth | InBlockDTMF, Tier: 'C', Status: FlagNoEffect, Note: "the mode after trigger, which is refused", Example: "DTMF-security-trigger=silence"},
		{Name: "DTMF-security-trigger-end", In: inBoth | InBlockDTMF, Tier: 'C', Status: FlagNoEffect, Note: "the mode after trigger-end, of trigger, which is refused", Example: "DTMF-security-trigger-end=off"},
		{Name: "digit", Also: []string{"code"}, In: inBoth | InBlockDTMF | InPlayDTMF, Tier: 'C', Note: "of DTMF-security=DTMF", Example: "digit=5", set: digit},
		{Name: "frequency", Also: []string{"frequencies"}, In: InBlockDTMF, Tier: 'C', Status: FlagNoEffect, Note: "parameter of a mode that is refused", Example: "frequency=400"},
		{Name: "volume", In: inBoth | InBlockDTMF | InPlayDTMF, Tier: 'C', Note: "of the events that DTMF-security makes", Example: "volume=10",
			set: keepInt("volume", func(f *Flags, n int64) { f.Volume = uint8(min(max(n, -n), 63)) })},
		{Name: "duration", In: InPlayDTMF, Tier: 'A', Status: FlagNoEffect, Note: "of play DTMF, which is refused", Example: "duration=250"},
		{Name: "DTMF-delay", In: inBoth | InBlockDTMF, Tier: 'C', Status: FlagRefused, Note: "media are never held back", Example: "DTMF-delay=200"},
		{Name: "DTMF-log-dest", Also: []string{"DTMF-log-destination"}, In: inBoth, Tier: 'B', Note: "address and port that are told of the call's digits, those sent as RFC 4733 events", Example: "DTMF-log-dest=192.0.2.1:5000", set: dtmfLog},
		{Name: "file", In: InPlayMedia, Tier: 'A', Status: FlagRefused, Note: "nothing is played", Example: "file=/srv/a.wav"},
		{Name: "blob", In: InPlayMedia, Tier: 'B', Status: FlagRefused, Note: "nothing is played"},
		{Name: "blob64", In: InPlayMedia, Tier: 'B', Status: FlagRefused, Note: "nothing is played"},
		{Name: "db-id", In: InPlayMedia, Tier: 'C', Status: FlagRefused, Note: "nothing is played", Example: "db-id=3"},
		{Name: "repeat-times", In: InPlayMedia, Tier: 'A', Status: FlagNoEffect, Note: "nothing is played", Example: "repeat-times=3"},
		{Name: "repeat-duration", In: InPlayMedia, Tier: 'B', Status: FlagNoEffect, Note: "nothing is played", Example: "repeat-duration=5000"},
		{Name: "start-pos", In: InPlayMedia, Tier: 'B', Status: FlagNoEffect, Note: "nothing is played", Example: "start-pos=0"},
		{Name: "moh", In: inBoth, Tier: 'C', Status: FlagRefused, Note: "no music on hold", Example: "moh=[file=/srv/moh.wav]"},
		{Name: "moh-attr-name", In: inBoth, Tier: 'C', Status: FlagNoEffect, Note: "no music on hold", Example: "moh-attr-name=hold"},
		{Name: "T.38", Also: []string{"T38"}, In: InOffer, Tier: 'B', Note: "list; without it T.38 passes untouched", Example: "T.38=stop", set: pick("T.38")},
		{Name: "T.38-version", Also: []string{"T38-version"}, In: InOffer, Tier: 'C', Status: FlagNoEffect, Note: "of the fax gateway, which is refused", Example: "T.38-version=0"},

		// Commands that are refused as such.
		{Name: "source-tag", In: InInject, Tier: 'C', Status: FlagNoEffect, Note: "of the inject commands, which are refused"},
		{Name: "source-call-id", In: InInject, Tier: 'C', Status: FlagNoEffect, Note: "of the inject commands, which are refused"},
		{Name: "instance", In: InTransform, Tier: 'C', Status: FlagNoEffect, Note: "of transform, which is refused"},
	}
}

// vsc is a key of the in-call codes that control recording.
func vsc(what string) FlagRow {
	name := "vsc-" + what + "-rec"
	return FlagRow{Name: name, Also: []string{name + "ording"}, In: inBoth, Tier: 'C', Status: FlagRefused,
		Note: "recording by DTMF codes", Example: name + "=*1"}
}
