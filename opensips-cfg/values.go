package opensipscfg

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// Versions are the OpenSIPS releases that the templates know.
var Versions = []string{"3.4", "3.6", "4.0"}

// Values is what a deployment chooses. [Defaults] holds the rest; [Values.Validate] names each bad one by its YAML path.
type Values struct {
	OpenSIPS   string     `yaml:"opensips"`   // one of Versions
	Domains    []Domain   `yaml:"domains"`    // at least one; the first is the default
	Users      []User     `yaml:"users"`      // accounts of digest domains, for storage "memory" only
	Secret     string     `yaml:"secret"`     // signs the proxy's Record-Route and nonces; 32 letters and digits: an AES-256 key in the auth module
	Listen     Listen     `yaml:"listen"`     // where SIP is spoken
	TLS        TLS        `yaml:"tls"`        // for tls and wss
	ModulePath string     `yaml:"modulePath"` // OpenSIPS' modules; empty: its own default
	Workers    Workers    `yaml:"workers"`
	Log        Log        `yaml:"log"`
	Fifo       string     `yaml:"fifo"` // management FIFO; empty: none
	Security   Security   `yaml:"security"`
	NAT        NAT        `yaml:"nat"`
	Federation Federation `yaml:"federation"`
	Registrar  Registrar  `yaml:"registrar"`
	Storage    Storage    `yaml:"storage"`
	Media      Media      `yaml:"media"`
	Optional   Optional   `yaml:"optional"`
}

// Domain is a SIP domain that the proxy is responsible for.
type Domain struct {
	Name         string `yaml:"name"`
	Registration string `yaml:"registration"` // "digest": known users only; "open": whoever comes gets the AOR asked for
}

// User is an account. Either Password or HA1, the hexadecimal MD5 of name:domain:password, is given.
type User struct {
	Name     string `yaml:"name"`
	Domain   string `yaml:"domain"` // empty: the first domain
	Password string `yaml:"password"`
	HA1      string `yaml:"ha1"`
}

// Listen holds the addresses and the transports; each transport that is on listens on each address that is set.
type Listen struct {
	IPv4 Address   `yaml:"ipv4"`
	IPv6 Address   `yaml:"ipv6"`
	UDP  Transport `yaml:"udp"`
	TCP  Transport `yaml:"tcp"`
	TLS  Transport `yaml:"tls"`
	WS   Transport `yaml:"ws"`
	WSS  Transport `yaml:"wss"`
}

// Address is a local address and what the world sees of it; an empty Address is off.
type Address struct {
	Address    string `yaml:"address"`
	Advertised string `yaml:"advertised"`
}

// Transport is a switch with its port.
type Transport struct {
	On   bool `yaml:"on"`
	Port int  `yaml:"port"`
}

// TLS names PEM files. CA is what foreign servers' certificates are checked against.
type TLS struct {
	Certificate string `yaml:"certificate"`
	Key         string `yaml:"key"`
	CA          string `yaml:"ca"`
}

// Workers are OpenSIPS' processes: UDP ones for each socket, TCP ones together.
type Workers struct {
	UDP int `yaml:"udp"`
	TCP int `yaml:"tcp"`
}

// Log says how much (-1 errors, 3 information, 4 debugging) and where to.
type Log struct {
	Level  int  `yaml:"level"`
	Stderr bool `yaml:"stderr"` // besides syslog
}

// Security holds what keeps scanners and floods away.
type Security struct {
	Scanners bool `yaml:"scanners"` // drop requests of known scanning tools without a word
	Pike     Pike `yaml:"pike"`
}

// Pike blocks addresses that send more than Requests in Seconds.
type Pike struct {
	On       bool `yaml:"on"`
	Requests int  `yaml:"requests"`
	Seconds  int  `yaml:"seconds"`
}

// NAT holds the interval of keepalives to contacts behind NAT; 0: none.
type NAT struct {
	KeepaliveSeconds int `yaml:"keepaliveSeconds"`
}

// Federation opens the proxy to foreign domains, found by RFC 3263: authenticated users may call out, anyone may call in.
type Federation struct {
	On bool `yaml:"on"`
}

// Registrar limits registrations.
type Registrar struct {
	MinSeconds int `yaml:"minSeconds"`
	MaxSeconds int `yaml:"maxSeconds"`
	Contacts   int `yaml:"contacts"` // for each AOR
}

// Storage keeps accounts, contacts and translations.
type Storage struct {
	Kind string `yaml:"kind"` // memory, sqlite, mysql or postgres
	URL  string `yaml:"url"`  // of the database: sqlite:///FILE, mysql://USER:PASSWORD@HOST/NAME, postgres://...
}

// Media is the relay and how it is asked.
type Media struct {
	Sidecars []Sidecar `yaml:"sidecars"`
	Table    string    `yaml:"table"`  // modern or 2015
	Bridge   bool      `yaml:"bridge"` // tell the relay each side's address family; only with both families on
}

// Sidecar is one daemon of the set: calls are spread by weight, and go on with the others when one is gone.
type Sidecar struct {
	Address string `yaml:"address"` // udp:HOST:PORT
	Weight  int    `yaml:"weight"`  // 1 when left out
}

// Optional holds the blocks that are off by default.
type Optional struct {
	Translations Translations `yaml:"translations"`
	ENUM         string       `yaml:"enum"`         // DNS suffix, e164.arpa. for example; empty: off
	E164         E164         `yaml:"e164"`         // numbers to +COUNTRY...
	RecordHeader string       `yaml:"recordHeader"` // a caller who sends "NAME: yes" is to be recorded; empty: off
	Homer        Homer        `yaml:"homer"`
}

// Homer sends a copy of all signalling to a HEP v3 collector over UDP; without a Collector it is off.
type Homer struct {
	Collector string `yaml:"collector"` // HOST:PORT
	Port      int    `yaml:"port"`      // local, on loopback: OpenSIPS sends from a listener
}

// Translations sends dialled prefixes to gateways: these rows, or those of the database's table when there is one.
type Translations struct {
	On   bool          `yaml:"on"`
	Rows []Translation `yaml:"rows"`
}

// Translation is one row; the first that matches wins.
type Translation struct {
	Prefix  string `yaml:"prefix"`  // of the dialled user part: digits, + * #
	Strip   int    `yaml:"strip"`   // characters taken off the front
	Prepend string `yaml:"prepend"` // put there instead
	Gateway string `yaml:"gateway"` // HOST or HOST:PORT, with ;transport=... if need be
}

// E164 rewrites local spellings of numbers.
type E164 struct {
	On            bool   `yaml:"on"`
	Country       string `yaml:"country"`       // "49"
	International string `yaml:"international"` // "00"
	Trunk         string `yaml:"trunk"`         // "0"
}

// Defaults is a proxy on one address with every transport that needs no certificate, memory only, federation on.
func Defaults() Values {
	return Values{
		OpenSIPS: "3.6",
		Listen: Listen{
			UDP: Transport{true, 5060}, TCP: Transport{true, 5060}, TLS: Transport{false, 5061},
			WS: Transport{true, 5066}, WSS: Transport{false, 7443},
		},
		TLS:        TLS{CA: "/etc/ssl/certs/ca-certificates.crt"},
		Workers:    Workers{UDP: 4, TCP: 4},
		Log:        Log{Level: 2},
		Security:   Security{Scanners: true, Pike: Pike{On: true, Requests: 200, Seconds: 2}},
		NAT:        NAT{KeepaliveSeconds: 30},
		Federation: Federation{On: true},
		Registrar:  Registrar{MinSeconds: 60, MaxSeconds: 3600, Contacts: 20},
		Storage:    Storage{Kind: "memory"},
		Media:      Media{Sidecars: []Sidecar{{Address: "udp:127.0.0.1:2223", Weight: 1}}, Table: "modern", Bridge: true},
		Optional:   Optional{E164: E164{Country: "1", International: "00", Trunk: "0"}, Homer: Homer{Port: 9061}},
	}
}

// Load lays a YAML document over v. A key that does not exist is an error that names it.
func (v *Values) Load(document []byte) error {
	dec := yaml.NewDecoder(bytes.NewReader(document))
	dec.KnownFields(true)
	if err := dec.Decode(v); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// Set lays one value over v: "security.pike.on=false". The value is YAML too, so "users=[{name: a, password: b}]" works.
func (v *Values) Set(assignment string) error {
	path, value, ok := strings.Cut(assignment, "=")
	if !ok || path == "" {
		return fmt.Errorf("%q is not PATH=VALUE", assignment)
	}
	var node yaml.Node
	if err := yaml.Unmarshal([]byte(value), &node); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	leaf := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Style: yaml.DoubleQuotedStyle}
	if len(node.Content) > 0 {
		leaf = node.Content[0]
	}
	keys := strings.Split(path, ".")
	slices.Reverse(keys)
	for _, key := range keys {
		leaf = &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key}, leaf}}
	}
	document, err := yaml.Marshal(leaf)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := v.Load(document); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
