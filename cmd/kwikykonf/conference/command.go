package conference

import (
	"errors"
	"fmt"
	"log/slog"

	"github.com/urfave/cli/v2"
)

// UsageError is a mistake in the options.
type UsageError struct{ error }

func (e UsageError) Unwrap() error { return e.error }

// Command is the server as a sub-command of this name. It runs until the context ends.
func Command(name string) *cli.Command {
	return &cli.Command{
		Name:  name,
		Usage: "serve the page of a video conference in the browser",
		Description: "Members meet over a SIP proxy that speaks WebSocket; give its address with --sip-ws, or with\n" +
			"--sip-upstream let this server pass its own /sip on to it. Media goes through the proxy's relay.\n" +
			"Without --cert and --key the certificate is made at the start and signed by nobody: for a lab.",
		Flags: []cli.Flag{
			&cli.StringFlag{Name: "listen", Value: ":8443", Usage: "`ADDRESS` to serve on"},
			&cli.StringFlag{Name: "domain", Usage: "SIP `DOMAIN` of the proxy, in which pages register"},
			&cli.StringFlag{Name: "sip-ws", Usage: "`URL` at which browsers reach the proxy: wss://HOST[:PORT][/PATH]"},
			&cli.StringFlag{Name: "sip-upstream", Usage: "`URL` at which this server reaches the proxy: ws:// or wss://"},
			&cli.StringFlag{Name: "cert", Usage: "`FILE` with the TLS certificate and its chain, PEM"},
			&cli.StringFlag{Name: "key", Usage: "`FILE` with the certificate's private key, PEM"},
			&cli.BoolFlag{Name: "plain", Usage: "serve http: behind a proxy that does TLS, or for a browser on this machine"},
		},
		Action: func(c *cli.Context) error {
			if c.NArg() > 0 {
				return UsageError{fmt.Errorf("unexpected argument %q", c.Args().First())}
			}
			cfg := Config{
				Listen: c.String("listen"), Domain: c.String("domain"),
				SIP: c.String("sip-ws"), Upstream: c.String("sip-upstream"),
				CertFile: c.String("cert"), KeyFile: c.String("key"), Plain: c.Bool("plain"),
				Log: slog.New(slog.NewTextHandler(c.App.ErrWriter, nil)),
			}
			if err := cfg.Validate(); err != nil {
				return UsageError{err}
			}
			return Serve(c.Context, cfg, func(url string) {
				_, err := fmt.Fprintln(c.App.Writer, "conference:", url)
				if err != nil {
					cfg.Log.Warn("standard output", "err", err)
				}
			})
		},
		OnUsageError: func(_ *cli.Context, err error, _ bool) error { return UsageError{err} },
	}
}

// ExitCode is a program's exit status for an error of Command: 0, 1, or 2 for a mistake in the options.
func ExitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.As(err, new(UsageError)):
		return 2
	}
	return 1
}
