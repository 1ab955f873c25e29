package opensipscfg

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files")

// change is one choice that differs from the example.
type change struct {
	name string
	set  func(*Values)
}

// exampleValues has everything on that needs no database.
func exampleValues() Values {
	v := Defaults()
	v.Domains = []Domain{{"example.org", "digest"}, {"chat.example.org", "open"}}
	v.Users = []User{{Name: "alice", Password: "plain-password"}, {Name: "bob", Domain: "example.org", HA1: strings.Repeat("0123", 8)}}
	v.Secret = "0123456789abcdefghijklmnopqrstuv"
	v.Listen.IPv4.Address = "127.0.0.1"
	v.Listen.TLS.On, v.Listen.WSS.On = true, true
	v.TLS = TLS{"/etc/rtpsidecar/tls/cert.pem", "/etc/rtpsidecar/tls/key.pem", "/etc/ssl/certs/ca-certificates.crt"}
	v.ModulePath = "/usr/lib/x86_64-linux-gnu/opensips/modules/"
	return v
}

// switches turns every choice to the other side, one at a time and in the combinations that share lines.
var switches = []change{
	{"example", func(*Values) {}},
	{"defaults", func(v *Values) { v.Listen.TLS.On, v.Listen.WSS.On = false, false }},
	{"udp only", func(v *Values) {
		l := &v.Listen
		l.TCP.On, l.TLS.On, l.WS.On, l.WSS.On = false, false, false, false
	}},
	{"no udp", func(v *Values) { v.Listen.UDP.On = false }},
	{"tcp only", func(v *Values) {
		l := &v.Listen
		l.UDP.On, l.TLS.On, l.WS.On, l.WSS.On = false, false, false, false
	}},
	{"tls without wss", func(v *Values) { v.Listen.WSS.On, v.Listen.WS.On = false, false }},
	{"wss alone", func(v *Values) {
		l := &v.Listen
		l.UDP.On, l.TCP.On, l.TLS.On, l.WS.On = false, false, false, false
	}},
	{"ipv6 only", func(v *Values) { v.Listen.IPv4, v.Listen.IPv6.Address = Address{}, "::1" }},
	{"dual stack", func(v *Values) { v.Listen.IPv6.Address = "::1" }},
	{"dual stack without bridge", func(v *Values) { v.Listen.IPv6.Address = "::1"; v.Media.Bridge = false }},
	{"advertised", func(v *Values) { v.Listen.IPv4.Advertised = "203.0.113.5" }},
	{"advertised name", func(v *Values) { v.Listen.IPv4.Advertised = "localhost" }},
	{"open only", func(v *Values) { v.Domains, v.Users = []Domain{{"chat.example.org", "open"}}, nil }},
	{"digest only", func(v *Values) { v.Domains = v.Domains[:1] }},
	{"no users", func(v *Values) { v.Users = nil }},
	{"no scanners", func(v *Values) { v.Security.Scanners = false }},
	{"no pike", func(v *Values) { v.Security.Pike.On = false }},
	{"no keepalive", func(v *Values) { v.NAT.KeepaliveSeconds = 0 }},
	{"no federation", func(v *Values) { v.Federation.On = false }},
	{"sqlite", func(v *Values) { v.Users, v.Storage = nil, Storage{"sqlite", "sqlite:///db"} }},
	{"sqlite translations", func(v *Values) {
		v.Users, v.Storage = nil, Storage{"sqlite", "sqlite:///db"}
		v.Optional.Translations.On = true
	}},
	{"mysql", func(v *Values) { v.Users, v.Storage = nil, Storage{"mysql", "mysql://sip:pw@127.0.0.1/sip"} }},
	{"mysql translations", func(v *Values) {
		v.Users, v.Storage = nil, Storage{"mysql", "mysql://sip:pw@127.0.0.1/sip"}
		v.Optional.Translations.On = true
	}},
	{"postgres", func(v *Values) { v.Users, v.Storage = nil, Storage{"postgres", "postgres://sip:pw@127.0.0.1/sip"} }},
	{"table 2015", func(v *Values) { v.Media.Table = "2015" }},
	{"two sidecars", func(v *Values) {
		v.Media.Sidecars = append(v.Media.Sidecars, Sidecar{Address: v.Media.Sidecars[0].Address, Weight: 3})
	}},
	{"translations", func(v *Values) {
		v.Optional.Translations = Translations{true, []Translation{{"+1", 1, "001", "gw.example.net:5062;transport=tcp"}, {"*9", 2, "", "192.0.2.9"}}}
	}},
	{"enum", func(v *Values) { v.Optional.ENUM = "e164.arpa." }},
	{"e164", func(v *Values) { v.Optional.E164 = E164{true, "49", "00", "0"} }},
	{"record", func(v *Values) { v.Optional.RecordHeader = "X-Record" }},
	{"homer", func(v *Values) { v.Optional.Homer = Homer{"127.0.0.1:9060", 9061} }},
	{"stderr", func(v *Values) { v.Log = Log{3, true} }},
	{"everything", func(v *Values) {
		v.Listen.IPv6.Address = "::1"
		v.Optional = Optional{
			Translations{true, []Translation{{"+1", 1, "001", "gw.example.net"}}}, "e164.arpa.", E164{true, "49", "00", "0"}, "X-Record", Homer{"127.0.0.1:9060", 9061},
		}
	}},
}

func TestSwitchesRender(t *testing.T) {
	for _, version := range Versions {
		for _, s := range switches {
			t.Run(version+"/"+s.name, func(t *testing.T) {
				v := exampleValues()
				v.OpenSIPS = version
				s.set(&v)
				files, err := Render(v)
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					if strings.Contains(string(f.Content), "<no value>") || strings.Contains(string(f.Content), "{{") {
						t.Errorf("%s is half rendered:\n%s", f.Name, f.Content)
					}
					if strings.Contains(string(f.Content), "plain-password") {
						t.Errorf("%s holds a plain password", f.Name)
					}
				}
			})
		}
	}
}

// TestGolden holds the rendered default configuration; -update writes it.
func TestGolden(t *testing.T) {
	v := exampleValues()
	v.Listen.IPv4.Address, v.Listen.IPv6.Address = "192.0.2.1", "2001:db8::1"
	files, err := Render(v)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join("testdata", "default")
	if *update {
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, f := range files {
		path := filepath.Join(dir, f.Name)
		if *update {
			if err := os.WriteFile(path, f.Content, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != string(f.Content) {
			t.Errorf("%s differs from %s; see with -update and git diff", f.Name, path)
		}
	}
}

func TestBadValues(t *testing.T) {
	for _, c := range []struct {
		name, want string // want is the path that the error names
		set        func(*Values)
	}{
		{"version", "opensips:", func(v *Values) { v.OpenSIPS = "2.4" }},
		{"no domain", "domains:", func(v *Values) { v.Domains, v.Users = nil, nil }},
		{"domain quoted", "domains[0].name:", func(v *Values) { v.Domains[0].Name = `a"b` }},
		{"domain an address", "domains[0].name:", func(v *Values) { v.Domains[0].Name = "192.0.2.1" }},
		{"domain twice", "domains[1].name:", func(v *Values) { v.Domains[1].Name = "Example.org" }},
		{"registration", "domains[1].registration:", func(v *Values) { v.Domains[1].Registration = "none" }},
		{"user", "users[0].name:", func(v *Values) { v.Users[0].Name = "a$b" }},
		{"user's domain", "users[0].domain:", func(v *Values) { v.Users[0].Domain = "other.org" }},
		{"user without password", "users[0].password:", func(v *Values) { v.Users[0].Password = "" }},
		{"hash", "users[1].ha1:", func(v *Values) { v.Users[1].HA1 = "xyz" }},
		{"secret", "secret:", func(v *Values) { v.Secret = "short" }},
		{"no address", "listen.ipv4.address:", func(v *Values) { v.Listen.IPv4 = Address{} }},
		{"unspecified", "listen.ipv4.address:", func(v *Values) { v.Listen.IPv4.Address = "0.0.0.0" }},
		{"wrong family", "listen.ipv6.address:", func(v *Values) { v.Listen.IPv6.Address = "192.0.2.1" }},
		{"advertised", "listen.ipv4.advertised:", func(v *Values) { v.Listen.IPv4.Advertised = "a b" }},
		{"port", "listen.udp.port:", func(v *Values) { v.Listen.UDP.Port = 70000 }},
		{"port twice", "listen.ws.port:", func(v *Values) { v.Listen.WS.Port = v.Listen.TCP.Port }},
		{"all off", "listen:", func(v *Values) {
			l := &v.Listen
			l.UDP.On, l.TCP.On, l.TLS.On, l.WS.On, l.WSS.On = false, false, false, false, false
		}},
		{"certificate", "tls.certificate:", func(v *Values) { v.TLS.Certificate = "" }},
		{"module path", "modulePath:", func(v *Values) { v.ModulePath = "modules" }},
		{"workers", "workers.udp:", func(v *Values) { v.Workers.UDP = 0 }},
		{"log", "log.level:", func(v *Values) { v.Log.Level = 9 }},
		{"fifo", "fifo:", func(v *Values) { v.Fifo = "x" }},
		{"pike", "security.pike.requests:", func(v *Values) { v.Security.Pike.Requests = 0 }},
		{"keepalive", "nat.keepaliveSeconds:", func(v *Values) { v.NAT.KeepaliveSeconds = -1 }},
		{"expiry", "registrar.maxSeconds:", func(v *Values) { v.Registrar.MaxSeconds = 30 }},
		{"contacts", "registrar.contacts:", func(v *Values) { v.Registrar.Contacts = 0 }},
		{"storage", "storage.kind:", func(v *Values) { v.Storage.Kind = "oracle" }},
		{"storage url", "storage.url:", func(v *Values) { v.Users, v.Storage = nil, Storage{"mysql", "sqlite:///x"} }},
		{"users in a database", "users:", func(v *Values) { v.Storage = Storage{"sqlite", "sqlite:///x"} }},
		{"table", "media.table:", func(v *Values) { v.Media.Table = "2020" }},
		{"no sidecar", "media.sidecars:", func(v *Values) { v.Media.Sidecars = nil }},
		{"sidecar", "media.sidecars[0].address:", func(v *Values) { v.Media.Sidecars = []Sidecar{{Address: "127.0.0.1:2223"}} }},
		{"weight", "media.sidecars[0].weight:", func(v *Values) { v.Media.Sidecars = []Sidecar{{"udp:127.0.0.1:2223", -1}} }},
		{"prefix", "optional.translations.rows[0].prefix:", func(v *Values) {
			v.Optional.Translations = Translations{true, []Translation{{Prefix: "a", Gateway: "gw"}}}
		}},
		{"gateway", "optional.translations.rows[0].gateway:", func(v *Values) {
			v.Optional.Translations = Translations{true, []Translation{{Prefix: "1", Gateway: `gw"`}}}
		}},
		{"enum", "optional.enum:", func(v *Values) { v.Optional.ENUM = "e164 arpa" }},
		{"country", "optional.e164.country:", func(v *Values) { v.Optional.E164 = E164{true, "", "00", "0"} }},
		{"header", "optional.recordHeader:", func(v *Values) { v.Optional.RecordHeader = "X Record" }},
		{"homer", "optional.homer.collector:", func(v *Values) { v.Optional.Homer.Collector = "homer" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := exampleValues()
			c.set(&v)
			_, err := Render(v)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.HasPrefix(err.Error(), c.want+" ") && !strings.Contains(err.Error(), "\n"+c.want+" ") {
				t.Errorf("error %q does not name %s", err, c.want)
			}
		})
	}
}

func TestLoadAndSet(t *testing.T) {
	v := Defaults()
	if err := v.Load([]byte("domains: [{name: a.org}]\nsecurity: {pike: {on: false}}\n")); err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"listen.ipv4.address=192.0.2.1", "nat.keepaliveSeconds=5", "domains=[{name: b.org, registration: open}]", "fifo="} {
		if err := v.Set(s); err != nil {
			t.Fatal(err)
		}
	}
	if v.Security.Pike.On || v.Security.Pike.Requests == 0 || v.Listen.IPv4.Address != "192.0.2.1" || v.NAT.KeepaliveSeconds != 5 ||
		len(v.Domains) != 1 || v.Domains[0].Name != "b.org" {
		t.Errorf("%+v", v)
	}
	for bad, name := range map[string]string{"nat.keepalive=5": "keepalive", "nat.keepaliveSeconds=x": "keepaliveSeconds", "x": `"x"`} {
		if err := v.Set(bad); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := v.Load([]byte("medai: {}")); err == nil || !strings.Contains(err.Error(), "medai") {
		t.Errorf("unknown key: %v", err)
	}
}

func TestRenderTo(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "etc")
	v := exampleValues()
	v.Secret = ""
	v.Optional.E164.On = true
	first, err := RenderTo(dir, v)
	if err != nil {
		t.Fatal(err)
	}
	if len(first) == 0 {
		t.Fatal("nothing written")
	}
	info, err := os.Stat(filepath.Join(dir, "users.cfg"))
	if err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("users.cfg: %v, mode %v", err, info.Mode())
	}
	if again, err := RenderTo(dir, v); err != nil || len(again) != 0 {
		t.Errorf("the second time changed %q: %v", again, err)
	}
	v.Optional.E164.On = false
	changed, err := RenderTo(dir, v)
	if err != nil || !strings.Contains(strings.Join(changed, " "), "e164.cfg") {
		t.Errorf("changed %q: %v", changed, err)
	}
	if _, err := os.Stat(filepath.Join(dir, "e164.cfg")); !os.IsNotExist(err) {
		t.Errorf("e164.cfg is still there: %v", err)
	}
}

func TestTablesAreComplete(t *testing.T) {
	for _, name := range []string{"modern", "2015"} {
		seen := map[string]bool{}
		for _, c := range MediaTable(name) {
			seen[c.Message+" "+c.From+" "+c.To] = true
		}
		if len(seen) != 8 {
			t.Errorf("%s has %d cells, want 8", name, len(seen))
		}
	}
}
