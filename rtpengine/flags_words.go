package rtpengine

import (
	"rtpsidecar/relay"
	"rtpsidecar/sdp"
)

// wordRows are the items of the list "flags".
func wordRows() []FlagRow {
	return []FlagRow{
		{Name: "WebRTC", In: inNew | InCreate, Tier: 'B', Note: "UDP/TLS/RTP/SAVPF, ICE=force, trickle-ICE, rtcp-mux offer and require, no-rtcp-attribute, SDES-off, generate-mid, bundle offer and require; whatever else is said wins over it"},

		// Transport protocol and interfaces, as the proxies' scripts write them.
		protocolWord(sdp.RTPAVP), protocolWord(sdp.RTPAVPF), protocolWord(sdp.RTPSAVP),
		protocolWord(sdp.RTPSAVPF), protocolWord(sdp.DTLSSAVP), protocolWord(sdp.DTLSSAVPF),
		{Name: "RTP", In: inSDP, Tier: 'A', Note: "RTP/AVP or the protocol named, without SRTP", set: protocolBit(srtpBit, Off)},
		{Name: "SRTP", In: inSDP, Tier: 'A', Note: "RTP/SAVP, or the SRTP form of the protocol named", set: protocolBit(srtpBit, On)},
		{Name: "AVP", In: inSDP, Tier: 'A', Note: "RTP/AVP or the protocol named, without feedback", set: protocolBit(avpfBit, Off)},
		{Name: "AVPF", In: inSDP, Tier: 'A', Note: "RTP/AVPF, or the feedback form of the protocol named", set: protocolBit(avpfBit, On)},
		{Name: "DTLS", In: inSDP, Tier: 'B', Note: "UDP/TLS/RTP/SAVP, or the DTLS form of the protocol named", set: protocolBit(dtlsBit, On)},
		{Name: "internal", In: inBoth, Tier: 'A', Note: "next direction is the interface internal", set: sideWord("internal")},
		{Name: "external", In: inBoth, Tier: 'A', Note: "next direction is the interface external", set: sideWord("external")},

		// Addresses and parties.
		{Name: "trust-address", In: inBoth, Tier: 'A', Note: "send to the address in the SDP", set: turnTo(func(f *Flags) *OnOff { return &f.TrustAddress }, On)},
		{Name: "SIP-source-address", In: inBoth, Tier: 'A', Note: "send to the address of received-from, unless ICE is in use", set: turnTo(func(f *Flags) *OnOff { return &f.TrustAddress }, Off)},
		{Name: "all", In: inPick | InConnect, Tier: 'B', Note: "as the key all=all", set: turnTo(func(f *Flags) *AllMode { return &f.All }, AllParties)},
		{Name: "directional", In: inPick | InConnect, Tier: 'A', Note: "honour from-tag", set: turnOn(func(f *Flags) *bool { return &f.Directional })},
		{Name: "bidirectional", In: InPublish | InSubscribe | InConnect | InMesh, Tier: 'C', Note: "media both ways", set: turnOn(func(f *Flags) *bool { return &f.Bidirectional })},
		{Name: "unsubscribe", In: InMesh, Tier: 'C', Note: "end what mesh set up", set: turnOn(func(f *Flags) *bool { return &f.Unsubscribe })},
		{Name: "egress", In: InSubscribe, Tier: 'C', Note: "subscribe to what the party's side of the call puts out: what it sends, as nothing is mixed or played", set: turnOn(func(f *Flags) *bool { return &f.Egress })},
		{Name: "inactive", In: InSubscribe, Tier: 'B', Note: "a=inactive in the offer to the subscriber", set: turnOn(func(f *Flags) *bool { return &f.Inactive })},
		{Name: "SIPREC", In: InSubscribe, Tier: 'A', Note: "labels and tag-medias for a recorder", set: turnOn(func(f *Flags) *bool { return &f.SIPREC })},
		{Name: "to-tag", In: InDelete | InAnswer, Tier: 'A', Note: "honour the to-tag in delete", set: turnOn(func(f *Flags) *bool { return &f.ForceToTag })},
		{Name: "fatal", In: InDelete, Tier: 'A', Note: "an unknown call or tag is an error", set: turnOn(func(f *Flags) *bool { return &f.Fatal })},
		{Name: "fast", In: InDelete, Tier: 'A', Note: "no statistics in the reply", set: turnOn(func(f *Flags) *bool { return &f.Fast })},
		{Name: "new-branch", In: InAnswer, Tier: 'C', Note: "a changed to-tag is a new party", set: turnOn(func(f *Flags) *bool { return &f.NewBranch })},
		{Name: "provisional", In: InAnswer, Tier: 'C', Note: "a final reply does not settle the to-tag", set: turnOn(func(f *Flags) *bool { return &f.Provisional })},
		{Name: "loop-protect", In: InOffer, Tier: 'A', Note: "mark the body, and return a marked one unchanged", set: turnOn(func(f *Flags) *bool { return &f.LoopProtect })},
		{Name: "debug", Also: []string{"debugging"}, In: inAll, Tier: 'B', Status: FlagNoEffect, Note: "the log level of the daemon decides", set: turnOn(func(f *Flags) *bool { return &f.Debug })},
		{Name: "no-redis-update", In: inBoth, Tier: 'C', Status: FlagNoEffect, Note: "calls are not stored", set: turnOn(func(f *Flags) *bool { return &f.NoRedisUpdate })},

		// ICE, DTLS, SDES.
		{Name: "reject-ICE", Also: []string{"ICE-reject"}, In: InOffer, Tier: 'A', Note: "answer the offerer without ICE", set: turnOn(func(f *Flags) *bool { return &f.RejectICE })},
		{Name: "trickle-ICE", In: inSDP, Tier: 'B', Note: "offer trickle ICE", set: turnOn(func(f *Flags) *bool { return &f.TrickleICE })},
		{Name: "fragment", In: InOffer, Tier: 'B', Note: "the body is a trickle-ICE fragment", set: turnOn(func(f *Flags) *bool { return &f.FragmentBody })},
		{Name: "reset", In: InOffer, Tier: 'B', Note: "forget what was learnt about the receiver, and begin ICE with it anew", set: turnOn(func(f *Flags) *bool { return &f.Reset })},
		{Name: "port-latching", In: InOffer, Tier: 'B', Note: "keep local ports though the remote port changed", set: turnOn(func(f *Flags) *bool { return &f.PortLatch })},
		{Name: "no-port-latching", In: InOffer, Tier: 'B', Note: "new local ports when the remote port changed, with ICE too", set: turnOn(func(f *Flags) *bool { return &f.NoPortLatch })},
		{Name: "no-tls-id", In: inSDP, Tier: 'B', Note: "no a=tls-id", set: turnOn(func(f *Flags) *bool { return &f.NoTLSID })},
		{Name: "pad-crypto", In: inSDP, Tier: 'B', Note: "as SDES=pad", set: turnOn(func(f *Flags) *bool { return &f.SDES.Pad })},

		// RTCP and mid.
		{Name: "full-rtcp-attribute", In: inSDP, Tier: 'B', Note: "a=rtcp with the address", set: turnOn(func(f *Flags) *bool { return &f.FullRTCPAttr })},
		{Name: "no-rtcp-attribute", In: inSDP, Tier: 'B', Note: "no a=rtcp", set: turnOn(func(f *Flags) *bool { return &f.NoRTCPAttr })},
		{Name: "generate-mid", In: inSDP, Tier: 'B', Note: "a=mid where it is missing", set: turnOn(func(f *Flags) *bool { return &f.GenerateMID })},
		{Name: "generate-RTCP", In: inBoth, Tier: 'B', Note: "as generate-RTCP=on", set: turnTo(func(f *Flags) *OnOff { return &f.GenerateRTCP }, On)},
		{Name: "mirror-RTCP", Also: []string{"RTCP-mirror"}, In: InSubscribe, Tier: 'C', Note: "RTCP of the subscriber goes to the source", set: turnOn(func(f *Flags) *bool { return &f.MirrorRTCP })},

		// Codecs and text.
		{Name: "always-transcode", In: inBoth, Tier: 'B', Status: FlagDiffers, Note: "between PCMU and PCMA; for other codecs the reply says that nothing is transcoded", set: turnOn(func(f *Flags) *bool { return &f.Codec.AlwaysTranscode })},
		{Name: "force-transcoding", In: inBoth, Tier: 'C', Status: FlagDiffers, Note: "nothing is transcoded; the reply says so", set: turnOn(func(f *Flags) *bool { return &f.Codec.ForceTranscoding })},
		{Name: "allow-transcoding", In: InSubscribeAnswer, Tier: 'B', Note: "a subscriber may accept fewer codecs; those it refused are not sent to it", set: turnOn(func(f *Flags) *bool { return &f.Codec.AllowTranscoding })},
		{Name: "single-codec", In: InAnswer, Tier: 'B', Note: "answer with the first codec and its events only", set: turnOn(func(f *Flags) *bool { return &f.Codec.Single })},
		{Name: "reuse-codecs", Also: []string{"no-codec-renegotiation"}, In: inBoth, Tier: 'B', Note: "codecs that were agreed with the receiver before come first, in that order; in an answer the order is that of the offer", set: turnOn(func(f *Flags) *bool { return &f.Codec.Reuse })},
		{Name: "static-codecs", In: InOffer, Tier: 'C', Note: "only the codecs that were agreed with the receiver before", set: turnOn(func(f *Flags) *bool { return &f.Codec.Static })},
		{Name: "allow-asymmetric-codecs", In: InAnswer, Tier: 'C', Note: "take an answer with other payload numbers as it is", set: turnOn(func(f *Flags) *bool { return &f.Codec.AllowAsymmetric })},
		{Name: "allow-no-codec-media", Also: []string{"allow-no-codec-medias", "allow-empty-codec-media", "allow-empty-codec-medias"}, In: InOffer, Tier: 'C', Note: "a section left without codecs is refused", set: turnOn(func(f *Flags) *bool { return &f.Codec.AllowNone })},
		{Name: "original-sendrecv", In: inBoth, Tier: 'B', Note: "copy the direction as received", set: turnOn(func(f *Flags) *bool { return &f.OriginalSendRecv })},
		{Name: "strip-extmap", In: inBoth, Tier: 'B', Note: "no a=extmap", set: turnOn(func(f *Flags) *bool { return &f.StripExtmap })},
		obsolete("asymmetric-codecs"), obsolete("symmetric-codecs"), obsolete("reorder-codecs"),

		// Media path.
		{Name: "asymmetric", In: inBoth, Tier: 'A', Note: "the source of this party's packets is not learnt", set: turnOn(func(f *Flags) *bool { return &f.Asymmetric })},
		{Name: "symmetric", In: inBoth, Tier: 'A', Status: FlagNoEffect, Note: "the default"},
		{Name: "force", In: inBoth, Tier: 'A', Status: FlagNoEffect, Note: "a word of older relays"},
		{Name: "auto-bridge", In: inBoth, Tier: 'A', Status: FlagNoEffect, Note: "a word of older relays"},
		{Name: "strict-source", In: inBoth, Tier: 'A', Note: "drop packets from other addresses once one is learnt", set: turnOn(func(f *Flags) *bool { return &f.StrictSource })},
		{Name: "media-handover", In: inBoth, Tier: 'A', Note: "follow a new source at once", set: turnOn(func(f *Flags) *bool { return &f.MediaHandover })},
		{Name: "NAT-wait", In: inBoth, Tier: 'B', Note: "send nothing before the party has sent", set: turnOn(func(f *Flags) *bool { return &f.NATWait })},
		{Name: "pierce-NAT", In: inBoth, Tier: 'B', Note: "send dummy packets until the party is heard", set: turnOn(func(f *Flags) *bool { return &f.PierceNAT })},
		{Name: "passthrough", Also: []string{"passthru"}, In: InOffer, Tier: 'C', Status: FlagDiffers, Note: "as passthrough=on", set: turnTo(func(f *Flags) *OnOff { return &f.Passthrough }, On)},
		{Name: "no-passthrough", Also: []string{"no-passthru"}, In: InOffer, Tier: 'C', Note: "as passthrough=off", set: turnTo(func(f *Flags) *OnOff { return &f.Passthrough }, Off)},
		{Name: "recrypt", In: inBoth, Tier: 'C', Note: "own SRTP keys on both sides; without it packets that do not verify go on too where both have the same key", set: turnOn(func(f *Flags) *bool { return &f.Recrypt })},
		{Name: "block-short", Also: []string{"block-shorts", "block-short-packets"}, In: inBoth, Tier: 'C', Note: "packets of the party are dropped where they are shorter than the first of their payload type since the last answer; G.711, G.722, G.723, G.726, G.729", set: turnOn(func(f *Flags) *bool { return &f.BlockShort })},
		{Name: "unidirectional", In: inBoth, Tier: 'C', Status: FlagNoEffect, Note: "one-way media are forwarded like any other", set: turnOn(func(f *Flags) *bool { return &f.Unidirectional })},
		{Name: "block-DTMF", In: inBoth, Tier: 'B', Note: "as the command block DTMF", set: turnOn(func(f *Flags) *bool { return &f.BlockDTMF })},
		{Name: "block-egress", In: inBoth | InPlayMedia, Tier: 'B', Status: FlagNoEffect, Note: "of play media, which is refused"},
		{Name: "no-jitter-buffer", In: inBoth, Tier: 'B', Status: FlagNoEffect, Note: "there is no jitter buffer"},
		{Name: "no-player", Also: []string{"no-audio-player"}, In: inBoth, Tier: 'B', Status: FlagNoEffect, Note: "there is no audio player"},
		{Name: "audio-player", Also: []string{"player"}, In: inBoth, Tier: 'B', Status: FlagRefused, Note: "no own audio stream"},
		{Name: "early-media", In: InOffer, Tier: 'C', Status: FlagNoEffect, Note: "of the audio player, which is refused", set: turnOn(func(f *Flags) *bool { return &f.EarlyMedia })},
		{Name: "mix", Also: []string{"mixed"}, In: InSubscribe, Tier: 'C', Status: FlagRefused, Note: "audio is not mixed"},

		// Recording and DTMF of the audio.
		{Name: "record-call", In: inBoth, Tier: 'A', Status: FlagRefused, Note: "nothing is recorded"},
		{Name: "discard-recording", In: inBoth | InDelete | InRecording, Tier: 'C', Status: FlagNoEffect, Note: "nothing is recorded"},
		{Name: "exclude-recording", In: inBoth | InRecording, Tier: 'C', Status: FlagNoEffect, Note: "nothing is recorded"},
		{Name: "skip-recording-db", Also: []string{"skip-recording-database"}, In: inBoth | InRecording, Tier: 'C', Status: FlagNoEffect, Note: "nothing is recorded"},
		{Name: "recording-announcement", In: inBoth, Tier: 'C', Status: FlagRefused, Note: "nothing is recorded or played"},
		{Name: "recording-vsc", In: inBoth, Tier: 'C', Status: FlagRefused, Note: "recording by DTMF codes"},
		{Name: "pause", In: InRecording, Tier: 'A', Status: FlagNoEffect, Note: "of stop recording, which is refused"},
		{Name: "inject-DTMF", In: inBoth, Tier: 'A', Status: FlagRefused, Note: "play DTMF is refused"},
		{Name: "detect-DTMF", In: inBoth, Tier: 'B', Status: FlagRefused, Note: "audio is not decoded"},
	}
}

// prefixRows are the beginnings of words that carry the value of a key.
func prefixRows() []FlagRow {
	rows := []FlagRow{
		{Name: "endpoint-learning-", In: inBoth, Tier: 'B', Example: "endpoint-learning-immediate", set: pickRest("endpoint-learning")},
		{Name: "from-tags-", In: InSubscribe | InConnect, Tier: 'B', Example: "from-tags-1928", set: addText(func(f *Flags) *[]string { return &f.FromTags }, nil)},
		{Name: "OSRTP-", In: inSDP, Tier: 'B', Example: "OSRTP-offer", set: pickRest("OSRTP")},
		{Name: "replace-", In: inBoth, Tier: 'A', Example: "replace-origin", set: pickRest("replace")},
		{Name: "rtcp-mux-", In: inSDP, Tier: 'A', Example: "rtcp-mux-demux", set: pickRest("rtcp-mux")},
		{Name: "bundle-", In: inSDP, Tier: 'B', Example: "bundle-accept", set: pickRest("bundle")},
		{Name: "SDES-", In: inSDP, Tier: 'A', Example: "SDES-off", set: pickRest("SDES")},
		{Name: "T.38-", Also: []string{"T38-"}, In: InOffer, Tier: 'B', Example: "T.38-stop", set: pickRest("T.38")},
		{Name: "transcode-", In: InOffer | InSubscribe, Tier: 'A', Status: FlagDiffers, Example: "transcode-PCMU", set: addText(func(f *Flags) *[]string { return &f.Codec.Transcode }, nil)},
		{Name: "sdp-attr-add-", In: inBoth, Tier: 'B', Example: "sdp-attr-add-audio-ptime:20", set: sdpAttrWord(sdp.EditAdd)},
		{Name: "sdp-attr-remove-", In: inBoth, Tier: 'B', Example: "sdp-attr-remove-audio-ptime", set: sdpAttrWord(sdp.EditRemove)},
		{Name: "sdp-attr-substitute-", In: inBoth, Tier: 'B', Example: "sdp-attr-substitute-none-sendrecv>sendonly", set: sdpAttrWord(sdp.EditSubstitute)},
	}
	for i := range rows {
		rows[i].Note = "as the key of that name"
	}
	for _, list := range codecRows() {
		rows = append(rows, FlagRow{Name: "codec-" + list.Name + "-", In: list.In, Tier: list.Tier, Status: list.Status,
			Note: "as the list of that name in codec", Example: "codec-" + list.Name + "-opus", set: list.set})
	}
	return rows
}

// protocolWord is a whole protocol among the words.
func protocolWord(p sdp.Protocol) FlagRow {
	return FlagRow{Name: p.String(), In: inSDP, Tier: 'A', Note: "as transport-protocol=" + p.String(),
		set: turnTo(func(f *Flags) *sdp.Protocol { return &f.Transport }, p)}
}

// obsolete is a word that the reference takes and forgets.
func obsolete(name string) FlagRow {
	return FlagRow{Name: name, In: inBoth, Tier: 'C', Status: FlagNoEffect, Note: "obsolete in the reference too"}
}

func learning(l relay.Learning) *relay.Learning { return &l }
