package opensipscfg

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// What may stand in a value. All of it ends inside quotes or as a word of a script, so nothing that could leave either
// (quotes, backslashes, blanks, control characters, $) is ever allowed.
var (
	domainName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*$`)
	userName   = regexp.MustCompile(`^[A-Za-z0-9_.!~*+=-]{1,64}$`)
	hexMD5     = regexp.MustCompile(`^[0-9a-f]{32}$`)
	secretText = regexp.MustCompile(`^[A-Za-z0-9]{32}$`)
	filePath   = regexp.MustCompile(`^/[A-Za-z0-9_./@+-]*$`)
	dialled    = regexp.MustCompile(`^[0-9+*#]{0,32}$`)
	digits     = regexp.MustCompile(`^[0-9]{1,4}$`)
	headerName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]{0,40}$`)
	gateway    = regexp.MustCompile(`^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?(;transport=(udp|tcp|tls))?$`)
	storageURL = regexp.MustCompile(`^(sqlite:///|mysql://|postgres://)[A-Za-z0-9_.~!%:@/+=-]+$`)
)

// Validate reports every value that cannot work, each with its path in the YAML file.
func (v *Values) Validate() error {
	c := &checker{}
	c.check(slices.Contains(Versions, v.OpenSIPS), "opensips", v.OpenSIPS, "one of "+strings.Join(Versions, ", "))
	c.domains(v)
	c.users(v)
	c.check(secretText.MatchString(v.Secret), "secret", v.Secret, "32 letters and digits")
	c.listen(v)
	c.file("modulePath", v.ModulePath)
	c.between("workers.udp", v.Workers.UDP, 1, 256)
	c.between("workers.tcp", v.Workers.TCP, 1, 256)
	c.between("log.level", v.Log.Level, -3, 4)
	c.file("fifo", v.Fifo)
	if v.Security.Pike.On {
		c.between("security.pike.requests", v.Security.Pike.Requests, 1, 1<<20)
		c.between("security.pike.seconds", v.Security.Pike.Seconds, 1, 3600)
	}
	c.between("nat.keepaliveSeconds", v.NAT.KeepaliveSeconds, 0, 3600)
	c.between("registrar.minSeconds", v.Registrar.MinSeconds, 0, 86400)
	c.between("registrar.maxSeconds", v.Registrar.MaxSeconds, max(v.Registrar.MinSeconds, 1), 7*86400)
	c.between("registrar.contacts", v.Registrar.Contacts, 1, 10000)
	c.storage(v)
	c.media(v)
	c.optional(v)
	return errors.Join(c.errs...)
}

type checker struct{ errs []error }

func (c *checker) check(ok bool, path string, value any, want string) {
	if ok {
		return
	}
	if s, isText := value.(string); isText {
		value = strconv.Quote(s)
	}
	c.errs = append(c.errs, fmt.Errorf("%s: %v is not %s", path, value, want))
}

func (c *checker) between(path string, n, low, high int) {
	c.check(n >= low && n <= high, path, n, fmt.Sprintf("between %d and %d", low, high))
}

func (c *checker) file(path, name string) {
	c.check(name == "" || filePath.MatchString(name), path, name, "an absolute path")
}

func (c *checker) domains(v *Values) {
	c.check(len(v.Domains) > 0, "domains", len(v.Domains), "a list of at least one domain")
	seen := map[string]bool{}
	for i, d := range v.Domains {
		path := fmt.Sprintf("domains[%d].", i)
		_, errAddr := netip.ParseAddr(d.Name)
		c.check(len(d.Name) < 64 && domainName.MatchString(d.Name) && errAddr != nil, path+"name", d.Name, "a domain name (not an address)")
		c.check(!seen[strings.ToLower(d.Name)], path+"name", d.Name, "new: it stands there twice")
		seen[strings.ToLower(d.Name)] = true
		c.check(d.Registration == "digest" || d.Registration == "open", path+"registration", d.Registration, "digest or open")
	}
}

func (c *checker) users(v *Values) {
	c.check(v.Storage.Kind == "memory" || len(v.Users) == 0, "users", len(v.Users), "empty, as it must be with a database: accounts are rows of its table subscriber")
	for i, u := range v.Users {
		path := fmt.Sprintf("users[%d].", i)
		c.check(userName.MatchString(u.Name), path+"name", u.Name, "a user name of 1 to 64 characters")
		c.check(slices.ContainsFunc(v.Domains, func(d Domain) bool { return strings.EqualFold(d.Name, u.Domain) }), path+"domain", u.Domain, "one of the domains")
		c.check((u.Password == "") != (u.HA1 == ""), path+"password", "...", "given alone: either password or ha1")
		c.check(u.HA1 == "" || hexMD5.MatchString(u.HA1), path+"ha1", u.HA1, "32 hexadecimal digits in lower case")
	}
}

func (c *checker) listen(v *Values) {
	l := &v.Listen
	c.check(l.IPv4.Address != "" || l.IPv6.Address != "", "listen.ipv4.address", "", "an address (ipv6.address would do too)")
	for _, family := range []struct {
		path string
		a    Address
		six  bool
	}{{"listen.ipv4.", l.IPv4, false}, {"listen.ipv6.", l.IPv6, true}} {
		want := "an IPv4 address of this machine"
		if family.six {
			want = "an IPv6 address of this machine"
		}
		addr, err := netip.ParseAddr(family.a.Address)
		ok := err == nil && addr.Is6() == family.six && !addr.IsUnspecified() && addr.Zone() == ""
		c.check(family.a.Address == "" || ok, family.path+"address", family.a.Address, want)
		adv, err := netip.ParseAddr(family.a.Advertised)
		ok = err == nil && adv.Is6() == family.six || err != nil && domainName.MatchString(family.a.Advertised)
		c.check(family.a.Advertised == "" || ok, family.path+"advertised", family.a.Advertised, "an address of the same family, or a name")
		c.check(family.a.Advertised == "" || family.a.Address != "", family.path+"address", "", "set, though advertised is")
	}
	transports := []struct {
		name string
		t    Transport
	}{{"udp", l.UDP}, {"tcp", l.TCP}, {"tls", l.TLS}, {"ws", l.WS}, {"wss", l.WSS}}
	taken := map[int]string{}
	any := false
	for _, t := range transports {
		if !t.t.On {
			continue
		}
		any = true
		c.between("listen."+t.name+".port", t.t.Port, 1, 65535)
		if t.name == "udp" {
			continue
		}
		c.check(taken[t.t.Port] == "", "listen."+t.name+".port", t.t.Port, "free: "+taken[t.t.Port]+" has it")
		taken[t.t.Port] = t.name
	}
	c.check(any, "listen", "all transports off", "a proxy: turn one on")
	if l.TLS.On || l.WSS.On {
		for path, file := range map[string]string{"tls.certificate": v.TLS.Certificate, "tls.key": v.TLS.Key, "tls.ca": v.TLS.CA} {
			c.check(filePath.MatchString(file), path, file, "an absolute path, needed for tls and wss")
		}
	}
}

func (c *checker) storage(v *Values) {
	kinds := []string{"memory", "sqlite", "mysql", "postgres"}
	c.check(slices.Contains(kinds, v.Storage.Kind), "storage.kind", v.Storage.Kind, "one of "+strings.Join(kinds, ", "))
	if v.Storage.Kind == "memory" {
		c.check(v.Storage.URL == "", "storage.url", v.Storage.URL, "empty, as it must be for memory")
		return
	}
	ok := storageURL.MatchString(v.Storage.URL) && strings.HasPrefix(v.Storage.URL, v.Storage.Kind+"://")
	c.check(ok, "storage.url", v.Storage.URL, "a URL of a "+v.Storage.Kind+" database")
}

func (c *checker) media(v *Values) {
	c.check(MediaTable(v.Media.Table) != nil, "media.table", v.Media.Table, "modern or 2015")
	c.check(len(v.Media.Sidecars) > 0, "media.sidecars", len(v.Media.Sidecars), "a list of at least one daemon")
	for i, s := range v.Media.Sidecars {
		path := fmt.Sprintf("media.sidecars[%d].", i)
		rest, ok := strings.CutPrefix(s.Address, "udp:")
		c.check(ok && hostPort(rest), path+"address", s.Address, "udp:HOST:PORT")
		c.between(path+"weight", s.Weight, 1, 100)
	}
}

func hostPort(s string) bool {
	host, port, err := net.SplitHostPort(s)
	n, errPort := strconv.ParseUint(port, 10, 16)
	if err != nil || errPort != nil || n == 0 {
		return false
	}
	addr, errAddr := netip.ParseAddr(host)
	return domainName.MatchString(host) || errAddr == nil && addr.Zone() == ""
}

func (c *checker) optional(v *Values) {
	o := &v.Optional
	if o.Translations.On {
		c.check(v.Storage.Kind == "memory" || len(o.Translations.Rows) == 0, "optional.translations.rows", len(o.Translations.Rows),
			"empty, as it must be with a database: they are rows of its table translations")
		for i, r := range o.Translations.Rows {
			path := fmt.Sprintf("optional.translations.rows[%d].", i)
			c.check(r.Prefix != "" && dialled.MatchString(r.Prefix), path+"prefix", r.Prefix, "digits, +, * and #")
			c.between(path+"strip", r.Strip, 0, 32)
			c.check(dialled.MatchString(r.Prepend), path+"prepend", r.Prepend, "digits, +, * and #")
			c.check(gateway.MatchString(r.Gateway), path+"gateway", r.Gateway, "HOST or HOST:PORT, perhaps with ;transport=...")
		}
	}
	c.check(o.ENUM == "" || domainName.MatchString(strings.TrimSuffix(o.ENUM, ".")), "optional.enum", o.ENUM, "a DNS suffix")
	if o.E164.On {
		c.check(digits.MatchString(o.E164.Country) && o.E164.Country[0] != '0', "optional.e164.country", o.E164.Country, "a country code")
		c.check(digits.MatchString(o.E164.International), "optional.e164.international", o.E164.International, "1 to 4 digits")
		c.check(digits.MatchString(o.E164.Trunk), "optional.e164.trunk", o.E164.Trunk, "1 to 4 digits")
	}
	c.check(o.RecordHeader == "" || headerName.MatchString(o.RecordHeader), "optional.recordHeader", o.RecordHeader, "the name of a header")
	if o.Homer.Collector != "" {
		c.check(hostPort(o.Homer.Collector), "optional.homer.collector", o.Homer.Collector, "HOST:PORT")
		c.between("optional.homer.port", o.Homer.Port, 1, 65535)
	}
}
