package rtpengine

import "rtpsidecar/relay"

// drainEvents logs what the relay reports until the host is closed.
func (e *Engine) drainEvents() {
	defer e.done.Done()
	events := e.host.Events()
	for {
		select {
		case <-e.stop:
			return
		case ev, ok := <-events:
			if !ok {
				return
			}
			e.event(ev)
		}
	}
}

// event handles one relay event.
func (e *Engine) event(ev relay.Event) {
	l, _ := ev.Owner.(*localPort)
	if l == nil {
		return
	}
	o := l.owner.Load()
	if o == nil {
		return // its transport is closed by now
	}
	if ev.Kind == relay.EventDigit { // told to those who asked; neither log nor timeline keep what may be a PIN
		e.tellDigit(o, ev)
		return
	}
	o.noteEvent(ev)
	log := o.log.With("media", o.index, "component", int(ev.Component)+1)
	switch ev.Kind {
	case relay.EventFirstPacket:
		log.Debug("first packet", "detail", ev.Detail)
	case relay.EventConfirmed:
		log.Debug("endpoint learnt", "detail", ev.Detail)
	case relay.EventICEConnected:
		log.Info("ICE connected", "pair", ev.Detail)
	case relay.EventDTLSConnected:
		log.Info("DTLS connected", "detail", ev.Detail)
	case relay.EventICEFailed:
		e.stats.iceFailed.Add(1)
		log.Warn("ICE failed", "detail", ev.Detail)
	case relay.EventConsentLost:
		e.stats.consentLost.Add(1)
		log.Warn("ICE consent lost", "detail", ev.Detail)
	case relay.EventDTLSFailed:
		e.stats.dtlsFailed.Add(1)
		log.Warn("DTLS failed", "detail", ev.Detail)
	}
}
