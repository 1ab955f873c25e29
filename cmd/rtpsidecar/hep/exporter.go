package hep

import (
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// queueLen bounds what waits for the collector.
const queueLen = 1024

// retryAfter is the pause before another attempt at a collector that does not take connections.
const retryAfter = 5 * time.Second

// Exporter sends packets to a collector, in a goroutine of its own. Export never waits; what does not fit the queue is
// counted and lost.
type Exporter struct {
	network, addr string
	log           *slog.Logger
	queue         chan *Packet
	stop          chan struct{}
	done          sync.WaitGroup
	lost          atomic.Uint64
}

// NewExporter sends over network, "udp" or "tcp", to addr. The caller closes it.
func NewExporter(network, addr string, log *slog.Logger) (*Exporter, error) {
	if network != "udp" && network != "tcp" {
		return nil, fmt.Errorf("homer-protocol: %q is neither udp nor tcp", network)
	}
	if _, _, err := net.SplitHostPort(addr); err != nil {
		return nil, fmt.Errorf("homer: %w", err)
	}
	e := &Exporter{network: network, addr: addr, log: log, queue: make(chan *Packet, queueLen), stop: make(chan struct{})}
	e.done.Go(e.run)
	return e, nil
}

// Export queues p, which belongs to the exporter from now on.
func (e *Exporter) Export(p *Packet) {
	select {
	case e.queue <- p:
	default:
		e.lost.Add(1)
	}
}

// Lost is how many packets the collector did not get, as far as we know.
func (e *Exporter) Lost() uint64 { return e.lost.Load() }

// Close ends the exporter; what waits is lost.
func (e *Exporter) Close() error {
	close(e.stop)
	e.done.Wait()
	return nil
}

func (e *Exporter) run() {
	var conn net.Conn
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	var buf []byte
	var notBefore time.Time
	for {
		select {
		case <-e.stop:
			return
		case p := <-e.queue:
			if p.Protocol == RTCP {
				if p.Payload = reportJSON(p.Payload); p.Payload == nil {
					continue
				}
			}
			if conn == nil && time.Now().After(notBefore) {
				var err error
				if conn, err = net.DialTimeout(e.network, e.addr, time.Second); err != nil {
					conn = nil
					notBefore = time.Now().Add(retryAfter)
					e.log.Warn("homer", "addr", e.addr, "err", err)
				}
			}
			if conn == nil {
				e.lost.Add(1)
				continue
			}
			buf = Append(buf[:0], p)
			_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // fails only on a closed connection, as Write does
			if _, err := conn.Write(buf); err != nil {
				e.lost.Add(1)
				if e.network == "tcp" { // on UDP it is what the last datagram met; the next may fare better
					_ = conn.Close()
					conn, notBefore = nil, time.Now().Add(retryAfter)
				}
			}
		}
	}
}
