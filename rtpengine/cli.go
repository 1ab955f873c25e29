package rtpengine

// cli runs a line of the operator's console.
func (e *Engine) cli(x *exchange) error {
	switch {
	case x.flags.Body == "":
		return errNoBody
	case e.cfg.Console == nil:
		return errNoConsole
	}
	x.reply.AddString("response", e.cfg.Console(x.flags.Body))
	return nil
}
