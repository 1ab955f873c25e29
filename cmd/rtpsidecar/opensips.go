package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/urfave/cli/v2"

	opensipscfg "rtpsidecar/opensips-cfg"
)

// opensipsCommand renders a configuration for OpenSIPS that has this daemon as its media relay.
func opensipsCommand(network network) *cli.Command {
	return &cli.Command{
		Name:  "opensips",
		Usage: "configuration for OpenSIPS",
		Subcommands: []*cli.Command{{
			Name:      "render",
			Usage:     "write opensips.cfg and the files that it includes",
			ArgsUsage: " ",
			Description: "Values come from the files, then --set, then the other options; what is left out has a default.\n" +
				"What is there already and would not change is not touched; changed files are printed.",
			Flags: []cli.Flag{
				&cli.StringSliceFlag{Name: "domain", Usage: "a SIP `DOMAIN` of this proxy, with =open if everyone may register (can be repeated)"},
				&cli.StringFlag{Name: "out", Required: true, Usage: "`DIR`ectory to write to, made if need be"},
				&cli.StringSliceFlag{Name: "values", Usage: "YAML `FILE` with values (can be repeated; the later one wins)"},
				&cli.StringSliceFlag{Name: "set", Usage: "one value by its place in the file: `PATH=VALUE`, for example security.pike.on=false (can be repeated)"},
				&cli.StringFlag{Name: "opensips", Usage: "`VERSION`: " + strings.Join(opensipscfg.Versions, ", ")},
				&cli.StringFlag{Name: "ipv4", Usage: "listen on `ADDRESS`[!ADVERTISED]; without --ipv4 and --ipv6 the machine's first address"},
				&cli.StringFlag{Name: "ipv6", Usage: "listen on `ADDRESS`[!ADVERTISED]"},
				&cli.StringFlag{Name: "transports", Usage: "`LIST` of those that are on, with ports: udp,tcp:5070,wss"},
				&cli.StringFlag{Name: "tls-cert", Usage: "PEM `FILE` with the certificate for tls and wss"},
				&cli.StringFlag{Name: "tls-key", Usage: "PEM `FILE` with its key"},
				&cli.StringSliceFlag{Name: "user", Usage: "an account `NAME[@DOMAIN]:PASSWORD` (can be repeated)"},
				&cli.StringSliceFlag{Name: "sidecar", Usage: "a media relay `udp:HOST:PORT[=WEIGHT]` (can be repeated)"},
				&cli.StringFlag{Name: "table", Usage: "media flags: `NAME`, modern or 2015"},
				&cli.StringFlag{Name: "storage", Usage: "memory, or the `URL` of a database: sqlite:///FILE, mysql://..., postgres://..."},
				&cli.StringFlag{Name: "modules", Usage: "`DIR`ectory with OpenSIPS' modules"},
			},
			Action: func(c *cli.Context) error {
				if c.NArg() > 0 {
					return usageError{fmt.Errorf("unexpected argument %q", c.Args().First())}
				}
				v, err := opensipsValues(c, network)
				if err != nil {
					return usageError{err}
				}
				changed, err := opensipscfg.RenderTo(c.String("out"), v)
				for _, path := range changed {
					fmt.Fprintln(c.App.Writer, path)
				}
				return err
			},
		}},
	}
}

// opensipsValues reads the options of render.
func opensipsValues(c *cli.Context, network network) (opensipscfg.Values, error) {
	v := opensipscfg.Defaults()
	for _, name := range c.StringSlice("values") {
		document, err := os.ReadFile(name)
		if err != nil {
			return v, err
		}
		if err := v.Load(document); err != nil {
			return v, fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, s := range c.StringSlice("set") {
		if err := v.Set(s); err != nil {
			return v, fmt.Errorf("--set: %w", err)
		}
	}
	for option, place := range map[string]*string{
		"opensips": &v.OpenSIPS, "tls-cert": &v.TLS.Certificate, "tls-key": &v.TLS.Key, "table": &v.Media.Table, "modules": &v.ModulePath,
	} {
		if c.IsSet(option) {
			*place = c.String(option)
		}
	}
	for option, place := range map[string]*opensipscfg.Address{"ipv4": &v.Listen.IPv4, "ipv6": &v.Listen.IPv6} {
		if c.IsSet(option) {
			place.Address, place.Advertised, _ = strings.Cut(c.String(option), "!")
		}
	}
	err := errors.Join(
		setDomains(&v, c.StringSlice("domain")),
		setTransports(&v, c.String("transports")),
		setUsers(&v, c.StringSlice("user")),
		setSidecars(&v, c.StringSlice("sidecar")),
	)
	switch storage := c.String("storage"); {
	case storage == "memory":
		v.Storage = opensipscfg.Storage{Kind: storage}
	case storage != "":
		kind, _, _ := strings.Cut(storage, ":")
		v.Storage = opensipscfg.Storage{Kind: kind, URL: storage}
	}
	return v, errors.Join(err, findSurroundings(&v, network))
}

// findSurroundings fills in what depends on the machine: absolute paths, modules, addresses.
func findSurroundings(v *opensipscfg.Values, network network) error {
	for _, file := range []*string{&v.TLS.Certificate, &v.TLS.Key, &v.TLS.CA} {
		if *file == "" {
			continue
		}
		var err error
		if *file, err = filepath.Abs(*file); err != nil {
			return err
		}
	}
	if v.ModulePath == "" {
		v.ModulePath = opensipscfg.FindModules()
	}
	if v.Listen.IPv4.Address != "" || v.Listen.IPv6.Address != "" {
		return nil
	}
	addrs, err := network.all()
	if err != nil {
		return err
	}
	for _, a := range addrs {
		switch {
		case a.Is4() && v.Listen.IPv4.Address == "":
			v.Listen.IPv4.Address = a.String()
		case a.Is6() && v.Listen.IPv6.Address == "":
			v.Listen.IPv6.Address = a.String()
		}
	}
	if len(addrs) == 0 {
		v.Listen.IPv4.Address = "127.0.0.1"
	}
	return nil
}

func setDomains(v *opensipscfg.Values, domains []string) error {
	if len(domains) > 0 {
		v.Domains = nil
	}
	for _, d := range domains {
		name, registration, ok := strings.Cut(d, "=")
		if !ok {
			registration = "digest"
		}
		v.Domains = append(v.Domains, opensipscfg.Domain{Name: name, Registration: registration})
	}
	return nil
}

// setTransports turns on what the list names and everything else off.
func setTransports(v *opensipscfg.Values, list string) error {
	if list == "" {
		return nil
	}
	l := &v.Listen
	places := map[string]*opensipscfg.Transport{"udp": &l.UDP, "tcp": &l.TCP, "tls": &l.TLS, "ws": &l.WS, "wss": &l.WSS}
	for _, t := range places {
		t.On = false
	}
	for item := range strings.SplitSeq(list, ",") {
		name, port, hasPort := strings.Cut(item, ":")
		t := places[name]
		if t == nil {
			return fmt.Errorf("--transports: %q is not udp, tcp, tls, ws or wss", name)
		}
		t.On = true
		if hasPort {
			var err error
			if t.Port, err = strconv.Atoi(port); err != nil {
				return fmt.Errorf("--transports: %q is not a port", port)
			}
		}
	}
	return nil
}

func setUsers(v *opensipscfg.Values, users []string) error {
	if len(users) > 0 {
		v.Users = nil
	}
	for _, u := range users {
		who, password, ok := strings.Cut(u, ":")
		if !ok {
			return fmt.Errorf("--user: %q is not NAME[@DOMAIN]:PASSWORD", u)
		}
		name, domain, _ := strings.Cut(who, "@")
		v.Users = append(v.Users, opensipscfg.User{Name: name, Domain: domain, Password: password})
	}
	return nil
}

func setSidecars(v *opensipscfg.Values, sidecars []string) error {
	if len(sidecars) > 0 {
		v.Media.Sidecars = nil
	}
	for _, s := range sidecars {
		address, weight, ok := strings.Cut(s, "=")
		n := 1
		if ok {
			var err error
			if n, err = strconv.Atoi(weight); err != nil {
				return fmt.Errorf("--sidecar: %q is not a weight", weight)
			}
		}
		v.Media.Sidecars = append(v.Media.Sidecars, opensipscfg.Sidecar{Address: address, Weight: n})
	}
	return nil
}
