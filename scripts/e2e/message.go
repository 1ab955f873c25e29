package e2e

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
)

// message is a SIP message as a telephone needs it.
type message struct {
	start   string // request or status line
	headers []header
	body    string
}

type header struct{ name, value string }

func parseMessage(b []byte) (*message, bool) {
	head, body, ok := strings.Cut(string(b), "\r\n\r\n")
	if !ok {
		return nil, false
	}
	lines := strings.Split(head, "\r\n")
	m := &message{start: lines[0], body: body}
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok {
			return nil, false
		}
		m.headers = append(m.headers, header{strings.TrimSpace(name), strings.TrimSpace(value)})
	}
	return m, true
}

func (m *message) String() string {
	var b strings.Builder
	b.WriteString(m.start + "\r\n")
	for _, h := range m.headers {
		b.WriteString(h.name + ": " + h.value + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(m.body), m.body)
	return b.String()
}

func (m *message) add(name, value string) { m.headers = append(m.headers, header{name, value}) }

// get is the first header of that name, values all of them, split at commas where the grammar allows lists.
func (m *message) get(name string) string {
	for _, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			return h.value
		}
	}
	return ""
}

func (m *message) values(name string) []string {
	var all []string
	for _, h := range m.headers {
		if strings.EqualFold(h.name, name) {
			for v := range strings.SplitSeq(h.value, ",") {
				all = append(all, strings.TrimSpace(v))
			}
		}
	}
	return all
}

// method is the request's, or that of the request which a response is for.
func (m *message) method() string {
	_, method, _ := strings.Cut(m.get("CSeq"), " ")
	return method
}

// code is the status of a response, 0 for a request.
func (m *message) code() int {
	if rest, ok := strings.CutPrefix(m.start, "SIP/2.0 "); ok {
		n, _ := strconv.Atoi(rest[:min(3, len(rest))])
		return n
	}
	return 0
}

// tag is the tag parameter of From or To.
func (m *message) tag(name string) string {
	_, after, _ := strings.Cut(m.get(name), ";tag=")
	tag, _, _ := strings.Cut(after, ";")
	return tag
}

// uri is what stands between < and >.
func uri(s string) string {
	if _, after, ok := strings.Cut(s, "<"); ok {
		inner, _, _ := strings.Cut(after, ">")
		return inner
	}
	u, _, _ := strings.Cut(s, ";")
	return u
}

func hash(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// credentials answer a Digest challenge, RFC 2617 section 3.2.2 with MD5 and qop auth or none.
func credentials(challenge, method, uri, user, password string) string {
	params := map[string]string{}
	for p := range strings.SplitSeq(strings.TrimPrefix(challenge, "Digest "), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(p), "=")
		params[strings.ToLower(name)] = strings.Trim(value, `"`)
	}
	ha1, ha2 := hash(user+":"+params["realm"]+":"+password), hash(method+":"+uri)
	out := fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s", algorithm=MD5`, user, params["realm"], params["nonce"], uri)
	if params["qop"] == "" {
		return out + fmt.Sprintf(`, response="%s"`, hash(ha1+":"+params["nonce"]+":"+ha2))
	}
	const nc, cnonce = "00000001", "0a4f113b"
	return out + fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s", response="%s"`, nc, cnonce, hash(ha1+":"+params["nonce"]+":"+nc+":"+cnonce+":auth:"+ha2))
}
