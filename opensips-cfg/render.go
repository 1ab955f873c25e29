package opensipscfg

import (
	"bytes"
	"crypto/md5"
	"embed"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"text/template"
)

//go:embed rooms
var roomFiles embed.FS

// File is one rendered file. Secret ones hold credentials and must not be readable by others.
type File struct {
	Name    string
	Content []byte
	Secret  bool
}

// room is a file of the result and when it is part of it; nil: always.
type room struct {
	name   string
	when   func(*Values) bool
	secret bool
}

// rooms are in the order in which the main file includes them.
var rooms = []room{
	{name: "globals.cfg"},
	{name: "modules.cfg", secret: true}, // the database's password
	{name: "main.cfg"},
	{name: "guard.cfg"},
	{name: "nat.cfg"},
	{name: "admission.cfg"},
	{name: "target.cfg"},
	{name: "sequential.cfg"},
	{name: "registrar.cfg"},
	{name: "relay.cfg"},
	{name: "media-flags.cfg"},
	{name: "media-offer.cfg"},
	{name: "media-answer.cfg"},
	{name: "media-failure.cfg"},
	{name: "helpers.cfg", secret: true}, // the Record-Route secret
	{name: "users.cfg", when: func(v *Values) bool { return v.Storage.Kind == "memory" }, secret: true},
	{name: "translations.cfg", when: func(v *Values) bool { return v.Optional.Translations.On }},
	{name: "e164.cfg", when: func(v *Values) bool { return v.Optional.E164.On }},
}

// Render makes the files of a configuration; the first, opensips.cfg, includes the others, which lie beside it. Values
// are completed (user domains, weights, hashes of passwords) and validated; v itself stays as it is.
func Render(v Values) ([]File, error) {
	v.complete()
	if err := v.Validate(); err != nil {
		return nil, err
	}
	view := &view{Values: &v}
	tmpl, err := template.New("").Option("missingkey=error").ParseFS(roomFiles, "rooms/*")
	if err != nil {
		return nil, err
	}
	render := func(name string, secret bool) (File, error) {
		var b bytes.Buffer
		err := tmpl.ExecuteTemplate(&b, name, view)
		return File{name, b.Bytes(), secret}, err
	}
	all := []room{{name: "opensips.cfg"}}
	for _, r := range rooms {
		if r.when == nil || r.when(&v) {
			view.Rooms = append(view.Rooms, r.name)
			all = append(all, r)
		}
	}
	if v.Storage.Kind != "memory" {
		all = append(all, room{name: "schema.sql"})
	}
	var files []File
	for _, r := range all {
		f, err := render(r.name, r.secret)
		if err != nil {
			return nil, fmt.Errorf("room %s: %w", r.name, err)
		}
		files = append(files, f)
	}
	return files, nil
}

// complete fills in what follows from other values, in copies of the lists.
func (v *Values) complete() {
	v.Users = append([]User(nil), v.Users...)
	for i := range v.Users {
		if u := &v.Users[i]; u.Domain == "" && len(v.Domains) > 0 {
			u.Domain = v.Domains[0].Name
		}
	}
	v.Domains = append([]Domain(nil), v.Domains...)
	for i := range v.Domains {
		if d := &v.Domains[i]; d.Registration == "" {
			d.Registration = "digest"
		}
	}
	v.Media.Sidecars = append([]Sidecar(nil), v.Media.Sidecars...)
	for i := range v.Media.Sidecars {
		if s := &v.Media.Sidecars[i]; s.Weight == 0 {
			s.Weight = 1
		}
	}
}

// view is what the templates see: the values and a few things made of them.
type view struct {
	*Values
	Rooms []string
}

// Sockets are the values of OpenSIPS' socket=, one for each transport and address.
func (v *view) Sockets() []string {
	var all []string
	for _, a := range []Address{v.Listen.IPv4, v.Listen.IPv6} {
		if a.Address == "" {
			continue
		}
		for _, t := range v.transports() {
			socket := fmt.Sprintf("%s:%s:%d", t.name, bracket(a.Address), t.Port)
			if a.Advertised != "" {
				socket += fmt.Sprintf(" AS %s:%d", bracket(a.Advertised), t.Port)
			}
			all = append(all, socket)
		}
	}
	if v.Optional.Homer.Collector != "" {
		all = append(all, fmt.Sprintf("hep_udp:127.0.0.1:%d", v.Optional.Homer.Port))
	}
	return all
}

type namedTransport struct {
	name string
	Transport
}

func (v *view) transports() []namedTransport {
	var on []namedTransport
	l := &v.Listen
	for _, t := range []namedTransport{{"udp", l.UDP}, {"tcp", l.TCP}, {"tls", l.TLS}, {"ws", l.WS}, {"wss", l.WSS}} {
		if t.On {
			on = append(on, t)
		}
	}
	return on
}

func bracket(host string) string {
	if a, err := netip.ParseAddr(host); err == nil && a.Is6() {
		return "[" + host + "]"
	}
	return host
}

// Protocols are the names of the transports that are on.
func (v *view) Protocols() []string {
	var names []string
	for _, t := range v.transports() {
		names = append(names, t.name)
	}
	return names
}

func (v *view) NeedsTLS() bool  { return v.Listen.TLS.On || v.Listen.WSS.On }
func (v *view) NeedsTCP() bool  { return len(v.transports()) > 1 || !v.Listen.UDP.On }
func (v *view) Browsers() bool  { return v.Listen.WS.On || v.Listen.WSS.On }
func (v *view) DualStack() bool { return v.Listen.IPv4.Address != "" && v.Listen.IPv6.Address != "" }
func (v *view) Database() bool  { return v.Storage.Kind != "memory" }
func (v *view) OldSQL() bool    { return v.OpenSIPS == "3.4" } // its SQL functions live in avpops

// DeleteNamesSender tells whether the rtpengine module puts a from-tag into deletes.
func (v *view) DeleteNamesSender() bool { return v.OpenSIPS == "3.4" }

func (v *view) Digest() bool {
	for _, d := range v.Domains {
		if d.Registration == "digest" {
			return true
		}
	}
	return false
}

// Cells is the flag table.
func (v *view) Cells() []Cell { return MediaTable(v.Media.Table) }

// SidecarSet is the module's parameter: addresses with weights.
func (v *view) SidecarSet() string {
	var set []string
	for _, s := range v.Media.Sidecars {
		set = append(set, s.Address+"="+strconv.Itoa(s.Weight))
	}
	return strings.Join(set, " ")
}

// Accounts are the users with their hashes, in place of passwords.
func (v *view) Accounts() []User {
	var all []User
	for _, u := range v.Users {
		if u.HA1 == "" {
			sum := md5.Sum([]byte(u.Name + ":" + strings.ToLower(u.Domain) + ":" + u.Password)) // RFC 2617 section 3.2.2.2
			u.HA1 = hex.EncodeToString(sum[:])
		}
		u.Password, u.Domain = "", strings.ToLower(u.Domain)
		all = append(all, u)
	}
	return all
}

// Lower is for names that the script compares in lower case.
func (v *view) Lower(s string) string { return strings.ToLower(s) }

// Literal makes a dialled prefix safe inside a regular expression.
func (v *view) Literal(s string) string {
	return strings.NewReplacer("+", "[+]", "*", "[*]").Replace(s)
}
