package rtpengine

import (
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rtpsidecar/sdp"
)

// codecList reads "111 opus/48000/2 fmtp" entries separated by "|"; a number alone is a static payload type or has no
// name.
func codecList(t testing.TB, text string) []sdp.Codec {
	t.Helper()
	var list []sdp.Codec
	for entry := range strings.SplitSeq(text, "|") {
		parts := strings.SplitN(strings.TrimSpace(entry), " ", 3)
		if parts[0] == "" {
			continue
		}
		pt, err := strconv.ParseUint(parts[0], 10, 7)
		if err != nil {
			t.Fatalf("codec %q: %v", entry, err)
		}
		c, _ := sdp.StaticCodec(uint8(pt))
		if len(parts) > 1 {
			s, err := sdp.ParseCodecSpec(parts[1])
			if err != nil {
				t.Fatal(err)
			}
			c = sdp.Codec{PT: uint8(pt), Name: s.Name, ClockHz: s.ClockHz, Channels: s.Channels}
		}
		if len(parts) > 2 {
			c.Fmtp = []string{parts[2]}
		}
		list = append(list, c)
	}
	return list
}

// numbers is the list as the m= line has it.
func numbers(list []sdp.Codec) string {
	var out []string
	for _, c := range list {
		out = append(out, strconv.Itoa(int(c.PT)))
	}
	return strings.Join(out, " ")
}

const (
	browser = "111 opus/48000/2 minptime=10;useinbandfec=1|63 red/48000/2 111/111|9|0|8|13|110 telephone-event/48000|126 telephone-event/8000"
	deskSet = "9|0|8|18"
	browsed = "111 63 9 0 8 13 110 126"
	video   = "96 VP8/90000|97 rtx/90000 apt=96|98 H264/90000|99 rtx/90000 apt=98|100 red/90000|101 ulpfec/90000"
)

func TestOfferCodecs(t *testing.T) {
	for _, tt := range []struct {
		name     string
		offered  string
		previous string
		flags    CodecFlags
		want     string
		refuse   bool
		missing  []string
	}{
		{name: "untouched", offered: browser, want: browsed},
		{name: "no codecs", want: ""},
		{name: "strip takes the events of its rate along", offered: browser, flags: CodecFlags{Strip: []string{"opus"}}, want: "9 0 8 13 126"},
		{name: "strip without regard to case", offered: browser, flags: CodecFlags{Strip: []string{"OPUS", "pcmu"}}, want: "9 8 13 126"},
		{name: "strip with the wrong channels", offered: browser, flags: CodecFlags{Strip: []string{"opus/48000"}}, want: browsed},
		{name: "strip with the right channels", offered: browser, flags: CodecFlags{Strip: []string{"opus/48000/2"}}, want: "9 0 8 13 126"},
		{name: "strip a number", offered: browser, flags: CodecFlags{Strip: []string{"0"}}, want: browsed},
		{name: "strip red alone", offered: browser, flags: CodecFlags{Strip: []string{"red"}}, want: "111 9 0 8 13 110 126"},
		{name: "strip all of one rate", offered: browser, flags: CodecFlags{Strip: []string{"PCMU", "PCMA", "G722"}}, want: "111 63 110"},
		{name: "events come back for the rates that are left", offered: "111 opus/48000/2|9|0|8|113 telephone-event/16000|126 telephone-event/8000",
			flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMA", "telephone-event"}}, want: "8 126"},
		{name: "strip events", offered: browser, flags: CodecFlags{Strip: []string{"telephone-event"}}, want: "111 63 9 0 8 13"},
		{name: "strip events of one rate", offered: browser, flags: CodecFlags{Strip: []string{"telephone-event/8000"}}, want: "111 63 9 0 8 13 110"},
		{name: "strip everything by all", offered: browser, flags: CodecFlags{Strip: []string{"all"}}, want: browsed},
		{name: "strip everything by full", offered: browser, flags: CodecFlags{Strip: []string{"full"}}, want: browsed},
		{name: "strip everything by name", offered: "0|101 telephone-event/8000", flags: CodecFlags{Strip: []string{"PCMU"}}, want: "0 101"},
		{name: "strip everything, allowed", offered: browser, flags: CodecFlags{Strip: []string{"all"}, AllowNone: true}, want: browsed, refuse: true},
		{name: "strip but events, allowed", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Except: []string{"telephone-event"}, AllowNone: true}, want: browsed, refuse: true},
		{name: "strip all, offer in order", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMA", "opus"}}, want: "8 111"},
		{name: "strip all, offer events", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMA", "telephone-event"}}, want: "8 126"},
		{name: "strip all, offer events first", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"telephone-event", "PCMA"}}, want: "126 8"},
		{name: "strip all, offer what is not there", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"iLBC"}}, want: browsed},
		{name: "strip all, except in place", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Except: []string{"PCMA", "opus"}}, want: "111 8"},
		{name: "strip all, except before offer", offered: deskSet, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMU"}, Except: []string{"G729", "G722"}}, want: "9 18 0"},
		{name: "strip all, offer before what follows red", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMA"}, Except: []string{"PCMU", "G722"}}, want: "8 9 0"},
		{name: "strip all, offer after what precedes red", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMA", "PCMU"}, Except: []string{"opus"}}, want: "111 8 0"},
		{name: "strip by name beats except", offered: browser, flags: CodecFlags{Strip: []string{"all", "opus"}, Except: []string{"opus", "PCMU"}}, want: "0"},
		{name: "strip by name alone beats except", offered: browser, flags: CodecFlags{Strip: []string{"opus"}, Except: []string{"opus"}}, want: "9 0 8 13 126"},
		{name: "offer behind those kept", offered: "0|8|9|18|101 telephone-event/8000", flags: CodecFlags{Strip: []string{"PCMU", "PCMA"}, Offer: []string{"PCMA", "opus", "PCMU"}}, want: "9 18 8 0 101"},
		{name: "offer with events among it", offered: "8|0|3|101 telephone-event/8000|13", flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"telephone-event", "PCMU", "PCMA", "CN"}}, want: "0 8 13 101"},
		{name: "offer before events kept", offered: "8|0|3|101 telephone-event/8000|13", flags: CodecFlags{Strip: []string{"telephone-event", "PCMU"}, Offer: []string{"telephone-event", "PCMU"}}, want: "8 3 101 0 13"},
		{name: "except beats offer", offered: "0|8|9|18|101 telephone-event/8000", flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMA", "telephone-event", "PCMU"}, Except: []string{"PCMA", "G722"}}, want: "8 9 0 101"},
		{name: "offer beats strip by name", offered: browser, flags: CodecFlags{Strip: []string{"opus"}, Offer: []string{"opus"}}, want: browsed},
		{name: "offer beats strip by name and all", offered: browser, flags: CodecFlags{Strip: []string{"all", "PCMA"}, Offer: []string{"PCMA", "PCMU"}}, want: "8 0"},
		{name: "offer alone", offered: browser, flags: CodecFlags{Offer: []string{"PCMA"}}, want: browsed},
		{name: "mask", offered: browser, flags: CodecFlags{Mask: []string{"opus"}}, want: "9 0 8 13 126"},
		{name: "mask all, offer", offered: browser, flags: CodecFlags{Mask: []string{"all"}, Offer: []string{"PCMA"}}, want: "8"},
		{name: "consume", offered: browser, flags: CodecFlags{Consume: []string{"opus"}}, want: "9 0 8 13 126"},
		{name: "mask and strip", offered: browser, flags: CodecFlags{Strip: []string{"opus"}, Mask: []string{"PCMA"}}, want: "9 0 13 126"},
		{name: "accept and ignore change nothing", offered: browser, flags: CodecFlags{Accept: []string{"opus"}, Ignore: []string{"PCMU"}}, want: browsed},
		{name: "transcode to what is there", offered: browser, flags: CodecFlags{Transcode: []string{"PCMA"}}, want: browsed},
		{name: "transcode to another", offered: deskSet, flags: CodecFlags{Transcode: []string{"opus/48000/2", "GSM"}}, want: "9 0 8 18", missing: []string{"opus/48000/2", "GSM"}},
		{name: "flags that transcode", offered: deskSet, flags: CodecFlags{AlwaysTranscode: true, ForceTranscoding: true}, want: "9 0 8 18", missing: []string{"always-transcode", "force-transcoding"}},
		{name: "strip all, transcode restores", offered: browser, flags: CodecFlags{Strip: []string{"all"}, Transcode: []string{"PCMU"}}, want: "0"},
		{name: "mask all, transcode restores one", offered: browser, flags: CodecFlags{Mask: []string{"all"}, Transcode: []string{"PCMU", "GSM"}}, want: "0", missing: []string{"GSM"}},
		{name: "strip full, transcode does not restore", offered: browser, flags: CodecFlags{Strip: []string{"full"}, Except: []string{"PCMA"}, Transcode: []string{"PCMU"}}, want: "8 0"},
		{name: "strip by name, transcode the same", offered: browser, flags: CodecFlags{Strip: []string{"PCMU"}, Transcode: []string{"PCMU"}}, want: "111 0 63 9 8 13 110 126"},
		{name: "payload types without a name", offered: "0|77|101 telephone-event/8000", flags: CodecFlags{Strip: []string{"PCMU"}}, want: "77"},
		{name: "a specification that cannot be read", offered: deskSet, flags: CodecFlags{Strip: []string{"PCMU/x", ""}, Offer: []string{"PCMU/y"}}, want: "9 0 8 18"},
		{name: "events of a rate that no codec had", offered: "0|8|102 telephone-event/16000|101 telephone-event/8000", flags: CodecFlags{Strip: []string{"PCMA"}}, want: "0 102 101"},
		{name: "events alone", offered: "101 telephone-event/8000", flags: CodecFlags{Strip: []string{"telephone-event"}}, want: "101"},
		{name: "repair goes with its codec", offered: video, flags: CodecFlags{Strip: []string{"VP8"}}, want: "98 99 100 101"},
		{name: "repair alone", offered: video, flags: CodecFlags{Strip: []string{"rtx"}}, want: "96 98 100 101"},
		{name: "video in order", offered: video, flags: CodecFlags{Strip: []string{"all"}, Offer: []string{"H264", "VP8"}}, want: "98 96"},
		{name: "reuse", offered: "9|8|0|18|101 telephone-event/8000", previous: "8|0|101 telephone-event/8000", flags: CodecFlags{Reuse: true}, want: "8 0 101 9 18"},
		{name: "reuse with fewer", offered: "8|101 telephone-event/8000", previous: "8|0|101 telephone-event/8000", flags: CodecFlags{Reuse: true}, want: "8 101"},
		{name: "reuse under another number", offered: "97 opus/48000/2|0", previous: "0|96 opus/48000/2", flags: CodecFlags{Reuse: true}, want: "0 97"},
		{name: "reuse at first", offered: deskSet, flags: CodecFlags{Reuse: true}, want: "9 0 8 18"},
		{name: "static", offered: "9|8|0|18|101 telephone-event/8000", previous: "8|0|101 telephone-event/8000", flags: CodecFlags{Static: true}, want: "8 0 101"},
		{name: "static with fewer", offered: "8|101 telephone-event/8000", previous: "8|0|101 telephone-event/8000", flags: CodecFlags{Static: true}, want: "8 101"},
		{name: "static with nothing in common", offered: "9|101 telephone-event/8000", previous: "8|0|101 telephone-event/8000", flags: CodecFlags{Static: true}, want: "9 101", missing: []string{"static-codecs"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			offered := codecList(t, tt.offered)
			before := slices.Clone(offered)
			o := offerCodecs(offered, codecList(t, tt.previous), &tt.flags)
			if got := numbers(o.List); got != tt.want || o.Refuse != tt.refuse || !slices.Equal(o.Missing, tt.missing) {
				t.Errorf("got %q refuse %v missing %q, want %q %v %q", got, o.Refuse, o.Missing, tt.want, tt.refuse, tt.missing)
			}
			if diff := cmp.Diff(before, offered); diff != "" {
				t.Errorf("the offer changed: %s", diff)
			}
		})
	}
}

func TestAnswerCodecs(t *testing.T) {
	const te = "|126 telephone-event/8000"
	for _, tt := range []struct {
		name     string
		offered  string
		answered string
		offer    CodecFlags
		answer   CodecFlags
		want     string
		missing  []string
	}{
		{name: "one", offered: browser, answered: "0" + te, want: "0 126"},
		{name: "the answer's order", offered: browser, answered: "8|0|9" + te, want: "8 0 9 126"},
		{name: "events where the answer has them", offered: browser, answered: "126 telephone-event/8000|8|13|0", want: "126 8 13 0"},
		{name: "what was not offered", offered: browser, answered: "8|18|126 telephone-event/8000|0", want: "8 126 0"},
		{name: "nothing that was offered", offered: browser, answered: "18" + te, want: "18 126"},
		{name: "other numbers", offered: browser, answered: "96 opus/48000/2|101 telephone-event/48000", want: "111 110"},
		{name: "other numbers, allowed", offered: browser, answered: "96 opus/48000/2|101 telephone-event/48000", answer: CodecFlags{AllowAsymmetric: true}, want: "96 101"},
		{name: "static type under a dynamic number", offered: browser, answered: "97 PCMU/8000", want: "0"},
		{name: "events of no rate offered", offered: deskSet, answered: "0|101 telephone-event/8000", want: "0"},
		{name: "no names", offered: "0|77|101 telephone-event/8000", answered: "77|0|101 telephone-event/8000", want: "77 0 101"},
		{name: "single", offered: browser, answered: "8|0|9|13" + te, answer: CodecFlags{Single: true}, want: "8 13 126"},
		{name: "single keeps events of every rate", offered: browser, answered: "111 opus/48000/2|0|110 telephone-event/48000" + te, answer: CodecFlags{Single: true}, want: "111 110 126"},
		{name: "strip puts events last", offered: browser, answered: "126 telephone-event/8000|13|8|0", answer: CodecFlags{Strip: []string{"PCMA"}}, want: "0 13 126"},
		{name: "strip leaves events of other rates", offered: browser, answered: "126 telephone-event/8000|111 opus/48000/2|0|110 telephone-event/48000", answer: CodecFlags{Strip: []string{"opus"}}, want: "126 0"},
		{name: "single of events", offered: browser, answered: "126 telephone-event/8000", answer: CodecFlags{Single: true}, want: "126"},
		{name: "single of video", offered: video, answered: video, answer: CodecFlags{Single: true}, want: "96 97 100 101"},
		{name: "strip", offered: browser, answered: "8|0|9" + te, answer: CodecFlags{Strip: []string{"PCMA"}}, want: "0 9 126"},
		{name: "strip events", offered: browser, answered: "8|0|9" + te, answer: CodecFlags{Strip: []string{"telephone-event"}}, want: "8 0 9"},
		{name: "strip all", offered: browser, answered: "8|0|9" + te, answer: CodecFlags{Strip: []string{"all"}}, want: "8 0 9 126"},
		{name: "strip all, offer", offered: browser, answered: "8|0|9" + te, answer: CodecFlags{Strip: []string{"all"}, Offer: []string{"PCMU"}}, want: "0"},
		{name: "strip all, except", offered: browser, answered: "8|0|9" + te, answer: CodecFlags{Strip: []string{"all"}, Except: []string{"PCMU"}}, want: "0"},
		{name: "strip the only one", offered: browser, answered: "8" + te, answer: CodecFlags{Strip: []string{"PCMA"}}, want: "8 126"},
		{name: "flags of offers do nothing", offered: browser, answered: "8|0" + te, answer: CodecFlags{Mask: []string{"PCMA"}, Ignore: []string{"PCMA"}, Consume: []string{"PCMA"}, Transcode: []string{"GSM"}, Offer: []string{"PCMU"}}, want: "8 0 126"},
		{name: "stripped from the offer, answered all the same", offered: browser, answered: "8|0" + te, offer: CodecFlags{Strip: []string{"PCMA"}}, want: "8 0 126"},
		{name: "masked, and not answered", offered: browser, answered: "0" + te, offer: CodecFlags{Mask: []string{"PCMA"}}, want: "0 126"},
		{name: "ignored", offered: browser, answered: "0|8" + te, offer: CodecFlags{Ignore: []string{"PCMU"}}, want: "8 126"},
		{name: "all ignored", offered: deskSet, answered: "0|8", offer: CodecFlags{Ignore: []string{"PCMU", "PCMA", "G722", "G729"}}, want: "0 8"},
		{name: "accepted by us alone", offered: browser, answered: "0" + te, offer: CodecFlags{Accept: []string{"opus", "PCMU", "GSM"}}, want: "0 126", missing: []string{"opus"}},
		{name: "reuse", offered: "9|0|8|18", answered: "0|9", answer: CodecFlags{Reuse: true}, want: "9 0"},
		{name: "no answer", offered: browser, want: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			answered := codecList(t, tt.answered)
			before := slices.Clone(answered)
			a := answerCodecs(codecList(t, tt.offered), answered, &tt.offer, &tt.answer)
			if got := numbers(a.List); got != tt.want || !slices.Equal(a.Missing, tt.missing) {
				t.Errorf("got %q missing %q, want %q %q", got, a.Missing, tt.want, tt.missing)
			}
			if diff := cmp.Diff(before, answered); diff != "" {
				t.Errorf("the answer changed: %s", diff)
			}
		})
	}
}

func TestAnswerCodecsRenumbersWhatNamesNumbers(t *testing.T) {
	offered := codecList(t, "96 VP8/90000|97 rtx/90000 apt=96|111 opus/48000/2|63 red/48000/2 111/111")
	answered := codecList(t, "100 VP8/90000 x=1|101 rtx/90000 rtx-time=200;apt=100|102 opus/48000/2|103 red/48000/2 102/102")
	var got []string
	for _, c := range answerCodecs(offered, answered, &CodecFlags{}, &CodecFlags{}).List {
		got = append(got, numbers([]sdp.Codec{c})+" "+strings.Join(c.Fmtp, ","))
	}
	want := []string{"96 x=1", "97 rtx-time=200;apt=96", "111 ", "63 111/111"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +\n%s", diff)
	}
}

func TestPayloadMap(t *testing.T) {
	offered := codecList(t, "96 opus/48000/2|0|101 telephone-event/8000")
	answered := codecList(t, "97 opus/48000/2|0|101 telephone-event/8000")
	if m := payloadMap(offered, offered); m != nil {
		t.Errorf("same numbers: got a map")
	}
	m := payloadMap(offered, answered, offered)
	if m == nil || m[97] != 96 || m[96] != 96 || m[0] != 0 || m[50] != 50 {
		t.Errorf("got %v", m)
	}
	swapped := codecList(t, "96 telephone-event/8000|101 opus/48000/2")
	if m := payloadMap(offered, swapped, offered); m[96] != 101 || m[101] != 96 {
		t.Errorf("the first list must win: got %v", m)
	}
}

// TestTranscodingWarning: what is not announced for want of a transcoder is named in the reply, once, whichever way it was
// asked for.
func TestTranscodingWarning(t *testing.T) {
	e := loopback(t)
	sections := "m=audio 40000 RTP/AVP 0 101\na=rtpmap:101 telephone-event/8000\nm=video 40002 RTP/AVP 97\na=rtpmap:97 VP8/90000\n"
	for i, tt := range []struct {
		pairs []any
		want  string
	}{
		{pairs: nil},
		{pairs: []any{"codec", kv{"transcode", []string{"PCMU", "PCMA"}}}},
		{pairs: []any{"codec", kv{"transcode", []string{"PCMA", "opus/48000/2", "GSM", "opus/48000/2"}}}, want: "no transcoding: opus/48000/2, GSM"},
		{pairs: []any{"flags", []string{"codec-transcode-opus", "transcode-G722"}}, want: "no transcoding: opus, G722"},
		{pairs: []any{"rtpp-flags", "transcode-opus codec-mask-all"}, want: "no transcoding: opus"},
		{pairs: []any{"flags", []string{"always-transcode"}}},
		{pairs: []any{"flags", []string{"force-transcoding"}}, want: "no transcoding: force-transcoding"},
	} {
		id := strconv.Itoa(i)
		d := must(t, e, "offer", append([]any{"call-id", id, "from-tag", "A", "sdp", body(rtpFrom, sections)}, tt.pairs...)...)
		if got := d.Value("warning").Str(); got != tt.want {
			t.Errorf("offer %v: warning %q, want %q", tt.pairs, got, tt.want)
		}
		must(t, e, "answer", "call-id", id, "from-tag", "A", "to-tag", "B", "sdp", body(rtpFrom, sections))
		d = must(t, e, "subscribe request", append([]any{"call-id", id, "from-tag", "A"}, tt.pairs...)...)
		if got := d.Value("warning").Str(); got != tt.want {
			t.Errorf("subscribe request %v: warning %q, want %q", tt.pairs, got, tt.want)
		}
	}
}
