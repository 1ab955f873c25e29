package rtpengine

import (
	"rtpsidecar/ng"
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// valueRows are the values of the keys that have a fixed set of them. A name ending in "-" or ":" carries a rest.
func valueRows() []FlagRow {
	var rows []FlagRow
	of := func(key string, in Commands, list ...FlagRow) {
		for _, r := range list {
			r.Of = key
			if r.In == 0 {
				r.In = in
			}
			if r.Tier == 0 {
				r.Tier = 'B'
			}
			rows = append(rows, r)
		}
	}

	of("supports", InOffer|inPick, FlagRow{Name: "load-limit", Tier: 'A', Note: "full daemons may answer load limit", set: turnOn(func(f *Flags) *bool { return &f.SupportsLoadLimit })})
	of("sip-message-type", inBoth,
		FlagRow{Name: "request", Also: []string{"sip-request"}, Note: "the SDP came in a request", set: turnTo(sipMessage, SIPRequest)},
		FlagRow{Name: "reply", Also: []string{"response", "sip-reply", "sip-response"}, Note: "the SDP came in a reply", set: turnTo(sipMessage, SIPReply)})
	of("all", inPick|InConnect,
		FlagRow{Name: "none", Also: []string{"off", "no"}, Note: "the default", set: turnTo(allMode, AllNone)},
		FlagRow{Name: "all", Also: []string{"yes", "on"}, Note: "every party", set: turnTo(allMode, AllParties)},
		FlagRow{Name: "offer-answer", Note: "parties of an offer/answer dialogue", set: turnTo(allMode, AllOfferAnswer)},
		FlagRow{Name: "except-offer-answer", Also: []string{"not-offer-answer", "non-offer-answer"}, Note: "the other parties", set: turnTo(allMode, AllExceptOfferAnswer)},
		FlagRow{Name: "flows", Note: "every flow between two parties", set: turnTo(allMode, AllFlows)})
	of("alias-key", InOffer,
		FlagRow{Name: "none", Also: []string{"off", "no"}, Tier: 'C', Note: "the default", set: turnTo(aliasKey, AliasNone)},
		FlagRow{Name: "SDP", Tier: 'C', Note: "the same SDP body", set: turnTo(aliasKey, AliasSDP)},
		FlagRow{Name: "address", Tier: 'C', Note: "the same media address", set: turnTo(aliasKey, AliasAddress)})
	of("address-family", InOffer,
		FlagRow{Name: "IP4", Also: []string{"IPv4", "inet"}, Tier: 'A', Note: "IPv4", set: turnTo(family, sdp.IP4)},
		FlagRow{Name: "IP6", Also: []string{"IPv6", "inet6"}, Tier: 'A', Note: "IPv6", set: turnTo(family, sdp.IP6)})

	of("ICE", inSDP,
		FlagRow{Name: "default", Tier: 'A', Note: "as force when ICE was offered, else none", set: turnTo(iceMode, ICEDefault)},
		FlagRow{Name: "force", Tier: 'A', Note: "own ICE attributes instead of those received", set: turnTo(iceMode, ICEForce)},
		FlagRow{Name: "remove", Tier: 'A', Note: "no ICE towards the receiver", set: turnTo(iceMode, ICERemove)},
		FlagRow{Name: "optional", Note: "add own candidates of low priority", set: turnTo(iceMode, ICEOptional)},
		FlagRow{Name: "force-relay", Tier: 'A', Note: "add own candidates of type relay, leave the rest", set: turnTo(iceMode, ICEForceRelay)},
		FlagRow{Name: "trickle", Note: "as trickle-ICE", set: turnOn(func(f *Flags) *bool { return &f.TrickleICE })},
		FlagRow{Name: "ice2", Tier: 'C', Note: "ice2 in a=ice-options", set: turnOn(func(f *Flags) *bool { return &f.ICE2 })},
		FlagRow{Name: "lite", Also: []string{"lite-forward", "lite-offer", "lite-fw", "lite-fwd"}, Note: "ICE-lite towards the receiver", set: turnTo(iceLite, LiteForward)},
		FlagRow{Name: "lite-backward", Also: []string{"lite-backwards", "lite-reverse", "lite-answer", "lite-back", "lite-bk", "lite-bkw"}, Note: "ICE-lite towards the sender", set: turnTo(iceLite, LiteBackward)},
		FlagRow{Name: "lite-both", Note: "ICE-lite towards both", set: turnTo(iceLite, LiteBoth)},
		FlagRow{Name: "no-lite", Also: []string{"lite-no", "lite-off", "lite-none"}, Note: "full ICE", set: turnTo(iceLite, LiteOff)})
	of("ICE-lite", InOffer,
		FlagRow{Name: "off", Also: []string{"no", "none"}, Note: "full ICE", set: turnTo(iceLite, LiteOff)},
		FlagRow{Name: "forward", Also: []string{"offer", "fw", "fwd"}, Note: "towards the receiver", set: turnTo(iceLite, LiteForward)},
		FlagRow{Name: "backward", Also: []string{"backwards", "reverse", "answer", "back", "bk", "bkw"}, Note: "towards the sender", set: turnTo(iceLite, LiteBackward)},
		FlagRow{Name: "both", Note: "towards both", set: turnTo(iceLite, LiteBoth)})

	of("DTLS", inSDP, dtlsRows(func(f *Flags) *DTLSMode { return &f.DTLS })...)
	of("DTLS-reverse", inSDP, dtlsRows(func(f *Flags) *DTLSMode { return &f.DTLSReverse })...)
	for _, hash := range []string{"sha-1", "sha-224", "sha-256", "sha-384", "sha-512"} {
		of("DTLS-fingerprint", inSDP, FlagRow{Name: hash, Also: []string{"sha" + hash[4:]}, Note: "digest of a=fingerprint", set: turnTo(func(f *Flags) *string { return &f.DTLSFingerprint }, hash)})
	}
	of("SDES", inSDP,
		FlagRow{Name: "off", Also: []string{"no", "disable", "disabled"}, Tier: 'A', Note: "no a=crypto", set: turnOn(func(f *Flags) *bool { return &f.SDES.Off })},
		FlagRow{Name: "no-", Note: "leave this suite out", Example: "SDES-no-AES_CM_128_HMAC_SHA1_32", set: addText(func(f *Flags) *[]string { return &f.SDES.No }, upper)},
		FlagRow{Name: "only-", Note: "only the suites named so; stronger than no-", Example: "SDES-only-AES_CM_128_HMAC_SHA1_80", set: addText(func(f *Flags) *[]string { return &f.SDES.Only }, upper)},
		FlagRow{Name: "nonew", Note: "only the suites offered; stronger than only-", set: turnOn(func(f *Flags) *bool { return &f.SDES.NoNew })},
		FlagRow{Name: "order:", Tier: 'C', Note: "order of printing", Example: "SDES-order:AES_CM_128_HMAC_SHA1_80;AES_CM_128_HMAC_SHA1_32", set: addTexts(func(f *Flags) *[]string { return &f.SDES.Order }, upper)},
		FlagRow{Name: "offerer_pref:", Tier: 'C', Note: "which suite is answered to the offerer", Example: "SDES-offerer_pref:AES_CM_128_HMAC_SHA1_80", set: addTexts(func(f *Flags) *[]string { return &f.SDES.OffererPref }, upper)},
		FlagRow{Name: "pad", Note: "base64 with =", set: turnOn(func(f *Flags) *bool { return &f.SDES.Pad })},
		FlagRow{Name: "lifetime", Note: "|2^31 after the key", set: turnOn(func(f *Flags) *bool { return &f.SDES.Lifetime })},
		FlagRow{Name: "static", Note: "keep the suite in a re-INVITE", set: turnOn(func(f *Flags) *bool { return &f.SDES.Static })},
		FlagRow{Name: "prefer", Also: []string{"priority"}, Tier: 'C', Note: "answer SDES when DTLS was offered too", set: turnOn(func(f *Flags) *bool { return &f.SDES.Prefer })},
		FlagRow{Name: "unencrypted_srtp", Tier: 'C', Note: "add UNENCRYPTED_SRTP", set: turnTo(func(f *Flags) *OnOff { return &f.SDES.UnencryptedRTP }, On)},
		FlagRow{Name: "unencrypted_srtcp", Tier: 'C', Note: "add UNENCRYPTED_SRTCP", set: turnTo(func(f *Flags) *OnOff { return &f.SDES.UnencryptedRTCP }, On)},
		FlagRow{Name: "unauthenticated_srtp", Tier: 'C', Note: "add UNAUTHENTICATED_SRTP", set: turnTo(func(f *Flags) *OnOff { return &f.SDES.UnauthenticatedRTP }, On)},
		FlagRow{Name: "encrypted_srtp", Tier: 'C', Note: "remove UNENCRYPTED_SRTP", set: turnTo(func(f *Flags) *OnOff { return &f.SDES.UnencryptedRTP }, Off)},
		FlagRow{Name: "encrypted_srtcp", Tier: 'C', Note: "remove UNENCRYPTED_SRTCP", set: turnTo(func(f *Flags) *OnOff { return &f.SDES.UnencryptedRTCP }, Off)},
		FlagRow{Name: "authenticated_srtp", Tier: 'C', Note: "remove UNAUTHENTICATED_SRTP", set: turnTo(func(f *Flags) *OnOff { return &f.SDES.UnauthenticatedRTP }, Off)})
	of("OSRTP", inSDP,
		FlagRow{Name: "offer", Also: []string{"offer-rfc"}, Note: "RTP/AVP with keys", set: turnOn(func(f *Flags) *bool { return &f.OSRTP.Offer })},
		FlagRow{Name: "offer-legacy", Tier: 'C', Note: "each SRTP section twice, RTP/AVP and RTP/SAVP, on the same port", set: turnOn(func(f *Flags) *bool { return &f.OSRTP.OfferLegacy })},
		FlagRow{Name: "accept", Note: "SRTP towards the offerer though the answer is plain, either form", set: func(p *flagParser, _ string, _ ng.Value) { p.f.OSRTP.Accept, p.f.OSRTP.AcceptLegacy = true, true }},
		FlagRow{Name: "accept-rfc", Note: "only the form RTP/AVP with keys", set: turnOn(func(f *Flags) *bool { return &f.OSRTP.Accept })},
		FlagRow{Name: "accept-legacy", Tier: 'C', Note: "only the form of two sections", set: turnOn(func(f *Flags) *bool { return &f.OSRTP.AcceptLegacy })})

	of("rtcp-mux", inSDP,
		FlagRow{Name: "offer", Tier: 'A', Note: "offer a=rtcp-mux", set: turnOn(func(f *Flags) *bool { return &f.RTCPMux.Offer })},
		FlagRow{Name: "require", Tier: 'A', Note: "offer it and open one port only", set: func(p *flagParser, _ string, _ ng.Value) { p.f.RTCPMux.Offer, p.f.RTCPMux.Require = true, true }},
		FlagRow{Name: "demux", Tier: 'A', Note: "do not offer it on, accept it from the offerer", set: turnOn(func(f *Flags) *bool { return &f.RTCPMux.Demux })},
		FlagRow{Name: "accept", Tier: 'A', Note: "accept it whatever the answer says", set: turnOn(func(f *Flags) *bool { return &f.RTCPMux.Accept })},
		FlagRow{Name: "reject", Tier: 'A', Note: "never accept it", set: turnOn(func(f *Flags) *bool { return &f.RTCPMux.Reject })})
	of("bundle", inSDP,
		FlagRow{Name: "accept", Note: "understand bundled offers", set: turnOn(func(f *Flags) *bool { return &f.Bundle.Accept })},
		FlagRow{Name: "offer", Note: "offer a bundle", set: turnOn(func(f *Flags) *bool { return &f.Bundle.Offer })},
		FlagRow{Name: "require", Note: "offer it with one port for all sections", set: func(p *flagParser, _ string, _ ng.Value) { p.f.Bundle.Offer, p.f.Bundle.Require = true, true }},
		FlagRow{Name: "strict", Tier: 'C', Note: "as require, further sections with port 0", set: func(p *flagParser, _ string, _ ng.Value) {
			p.f.Bundle.Offer, p.f.Bundle.Require, p.f.Bundle.Strict = true, true, true
		}},
		FlagRow{Name: "reject", Tier: 'C', Note: "undo earlier bundling", set: turnOn(func(f *Flags) *bool { return &f.Bundle.Reject })})

	of("codec", inSDP, codecRows()...)
	of("extmap", inBoth,
		FlagRow{Name: "strip", Note: "remove these header extensions, or all, from the SDP", set: addText(func(f *Flags) *[]string { return &f.ExtmapStrip }, nil)},
		FlagRow{Name: "mask", Note: "remove them from the SDP and from packets", set: addText(func(f *Flags) *[]string { return &f.ExtmapMask }, nil)})
	of("replace", inBoth,
		FlagRow{Name: "origin", Tier: 'A', Note: "address of o=", set: turnOn(func(f *Flags) *bool { return &f.Replace.Origin })},
		FlagRow{Name: "origin-full", Note: "user, session id and address of o= stay the same", set: turnOn(func(f *Flags) *bool { return &f.Replace.OriginFull })},
		FlagRow{Name: "session-connection", Tier: 'A', Status: FlagNoEffect, Note: "every section has its own c=, the session has none", set: turnOn(func(f *Flags) *bool { return &f.Replace.SessionConnection })},
		FlagRow{Name: "SDP-version", Tier: 'A', Note: "own version counter", set: turnOn(func(f *Flags) *bool { return &f.Replace.SDPVersion })},
		FlagRow{Name: "force-increment-sdp-ver", Also: []string{"force-increment-sdp-version"}, Tier: 'C', Note: "version +1 on every output", set: turnOn(func(f *Flags) *bool { return &f.Replace.ForceIncrementSDPVersion })},
		FlagRow{Name: "username", Tier: 'A', Note: "first user name of o= stays", set: turnOn(func(f *Flags) *bool { return &f.Replace.Username })},
		FlagRow{Name: "session-name", Tier: 'A', Note: "first s= stays", set: turnOn(func(f *Flags) *bool { return &f.Replace.SessionName })},
		FlagRow{Name: "zero-address", Tier: 'A', Note: "own address instead of 0.0.0.0", set: turnOn(func(f *Flags) *bool { return &f.Replace.ZeroAddress })})

	of("endpoint-learning", inBoth,
		FlagRow{Name: "off", Also: []string{"no", "none", "disable", "disabled"}, Note: "the SDP's endpoint is final", set: turnTo(learnMode, learning(relay.LearnOff))},
		FlagRow{Name: "immediate", Note: "the first packet decides", set: turnTo(learnMode, learning(relay.LearnImmediate))},
		FlagRow{Name: "delayed", Note: "the first packet after 3 s decides", set: turnTo(learnMode, learning(relay.LearnDelayed))},
		FlagRow{Name: "heuristic", Note: "as delayed, the best source so far", set: turnTo(learnMode, learning(relay.LearnHeuristic))})
	of("drop-traffic", inBoth,
		FlagRow{Name: "start", Also: onWords, Note: "drop all RTP of the call", set: startDropping},
		FlagRow{Name: "stop", Also: offWords, Note: "forward again; wins over start", set: turnTo(func(f *Flags) *OnOff { return &f.DropTraffic }, Off)})
	of("generate-RTCP", inBoth,
		FlagRow{Name: "on", Also: onWords[1:], Note: "own reports instead of RTCP passed on", set: turnTo(func(f *Flags) *OnOff { return &f.GenerateRTCP }, On)},
		FlagRow{Name: "off", Also: offWords[1:], Note: "RTCP is passed on, the default", set: turnTo(func(f *Flags) *OnOff { return &f.GenerateRTCP }, Off)})
	of("passthrough", InOffer,
		FlagRow{Name: "on", Also: onWords[1:], Tier: 'C', Status: FlagDiffers, Note: "until off: sections keep their keys, fingerprints and ICE, and what comes is forwarded unread. The addresses are ours and our candidates are the last resort, as in 10.5; 26.3 leaves the addresses of the parties", set: turnTo(func(f *Flags) *OnOff { return &f.Passthrough }, On)},
		FlagRow{Name: "off", Also: offWords[1:], Tier: 'C', Note: "ends it", set: turnTo(func(f *Flags) *OnOff { return &f.Passthrough }, Off)})
	of("media-echo", InOffer,
		FlagRow{Name: "none", Also: []string{"off", "no"}, Note: "the default", set: turnTo(echoMode, EchoNone)},
		FlagRow{Name: "blackhole", Also: []string{"sinkhole"}, Note: "discard what both send", set: turnTo(echoMode, EchoBlackhole)},
		FlagRow{Name: "forward", Also: []string{"fwd", "fw"}, Note: "echo to the receiver", set: turnTo(echoMode, EchoForward)},
		FlagRow{Name: "backward", Also: []string{"backwards", "reverse", "back", "bkw", "bk"}, Note: "echo to the sender", set: turnTo(echoMode, EchoBackward)},
		FlagRow{Name: "both", Note: "echo to both", set: turnTo(echoMode, EchoBoth)})
	of("audio-player", inBoth,
		FlagRow{Name: "default", Status: FlagNoEffect, Note: "there is no audio player"},
		FlagRow{Name: "off", Also: []string{"no", "never", "disable", "disabled"}, Status: FlagNoEffect, Note: "there is no audio player"},
		FlagRow{Name: "transcoding", Status: FlagNoEffect, Note: "only for transcoded media, of which there are none"},
		FlagRow{Name: "always", Also: []string{"on", "yes", "force", "forced"}, Status: FlagRefused, Note: "no own audio stream"})
	of("record-call", inBoth,
		FlagRow{Name: "yes", Also: []string{"on", "1", "true", "enable", "enabled"}, Tier: 'A', Status: FlagRefused, Note: "nothing is recorded"},
		FlagRow{Name: "no", Also: []string{"off", "false", "0", "disable", "disabled"}, Tier: 'A', Status: FlagNoEffect, Note: "nothing is recorded"},
		FlagRow{Name: "discard", Status: FlagNoEffect, Note: "nothing is recorded"})
	of("DTMF-security", inBoth|InBlockDTMF,
		FlagRow{Name: "off", Also: []string{"no", "none", "disable", "disabled"}, Note: "blocking is off", set: turnTo(dtmfSecurity, DTMFOff)},
		FlagRow{Name: "drop", Note: "the default: blocked events are dropped", set: turnTo(dtmfSecurity, DTMFDrop)},
		FlagRow{Name: "silence", Status: FlagRefused, Note: "audio is not encoded"},
		FlagRow{Name: "tone", Status: FlagRefused, Note: "audio is not encoded"},
		FlagRow{Name: "random", Status: FlagDiffers, Note: "events get a digit of 0-9 drawn for each; the reference puts tones into the audio", set: turnTo(dtmfSecurity, DTMFRandom)},
		FlagRow{Name: "zero", Status: FlagDiffers, Note: "events become the digit 0; tones in the audio stay", set: turnTo(dtmfSecurity, DTMFZero)},
		FlagRow{Name: "DTMF", Status: FlagDiffers, Note: "events become the one of the key digit; tones in the audio stay", set: turnTo(dtmfSecurity, DTMFDigit)})
	of("T.38", InOffer,
		FlagRow{Name: "decode", Status: FlagRefused, Note: "no fax gateway"},
		FlagRow{Name: "force", Status: FlagRefused, Note: "no fax gateway"},
		FlagRow{Name: "stop", Status: FlagNoEffect, Note: "no fax gateway"})
	for _, option := range []string{"no-ECM", "no-V.17", "no-V.27ter", "no-V.29", "no-V.34", "no-IAF", "FEC"} {
		r := FlagRow{Name: option, Tier: 'C', Status: FlagNoEffect, Note: "option of the fax gateway, which is refused"}
		if plain := dotless(option); plain != option {
			r.Also = []string{plain}
		}
		of("T.38", InOffer, r)
	}
	return rows
}

// The words of switches, as the reference takes them; JSON's true and false arrive as 1 and 0.
var (
	onWords  = []string{"on", "yes", "1", "true", "enable", "enabled"}
	offWords = []string{"off", "no", "0", "false", "disable", "disabled"}
)

// codecRows are the lists of the dictionary codec.
func codecRows() []FlagRow {
	list := func(name string, tier byte, in Commands, field func(*Flags) *[]string, note string) FlagRow {
		return FlagRow{Name: name, Tier: tier, In: in, Note: note, Example: "codec=[" + name + "=[opus]]", set: addText(field, nil)}
	}
	rows := []FlagRow{
		list("strip", 'A', inBoth|InSubscribe, func(f *Flags) *[]string { return &f.Codec.Strip }, "removed; all or full: everything but what offer and except name"),
		list("mask", 'A', InOffer|InSubscribe, func(f *Flags) *[]string { return &f.Codec.Mask }, "hidden from the receiver; answered to the sender where no transcoding is needed, or PCMU and PCMA are turned into each other"),
		list("consume", 'B', InOffer|InSubscribe, func(f *Flags) *[]string { return &f.Codec.Consume }, "as mask, and answered to the sender where mask would be"),
		list("accept", 'B', inBoth|inNew, func(f *Flags) *[]string { return &f.Codec.Accept }, "offered on; answered to the sender where no transcoding is needed, or PCMU and PCMA are turned into each other"),
		list("offer", 'B', InOffer|InSubscribe, func(f *Flags) *[]string { return &f.Codec.Offer }, "with strip or mask of all: what stays, in this order"),
		list("except", 'B', InOffer|InSubscribe, func(f *Flags) *[]string { return &f.Codec.Except }, "with strip or mask of all: what stays, where it is"),
		list("ignore", 'C', InOffer, func(f *Flags) *[]string { return &f.Codec.Ignore }, "offered on, never answered to the sender"),
		list("transcode", 'A', InOffer|InSubscribe, func(f *Flags) *[]string { return &f.Codec.Transcode }, "PCMU and PCMA are made of each other; others are not announced unless they were offered, and the reply names them in warning"),
		list("set", 'B', InOffer|InSubscribe, func(f *Flags) *[]string { return &f.Codec.Set }, "options of encoders; nothing is encoded"),
	}
	for i, name := range []string{"mask", "consume", "accept", "transcode", "set"} {
		for j := range rows {
			if rows[j].Name == name {
				rows[j].Status = FlagDiffers
				if i == 4 {
					rows[j].Status = FlagNoEffect
				}
			}
		}
	}
	return rows
}

func dtlsRows(field func(*Flags) *DTLSMode) []FlagRow {
	return []FlagRow{
		{Name: "off", Also: []string{"no", "disable", "disabled"}, Tier: 'A', Note: "no fingerprint printed or accepted", set: turnTo(field, DTLSOff)},
		{Name: "passive", Tier: 'A', Note: "a=setup:passive when actpass was offered", set: turnTo(field, DTLSPassive)},
		{Name: "active", Note: "a=setup:active", set: turnTo(field, DTLSActive)},
	}
}
