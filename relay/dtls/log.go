package dtls

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/pion/logging"
)

// libraryLog turns the library's own log into debug lines. What matters to an operator is in Result.Err.
type libraryLog struct{ log *slog.Logger }

func (l libraryLog) NewLogger(string) logging.LeveledLogger { return l }

func (l libraryLog) print(msg string) { l.log.Debug("dtls library", "detail", msg) }

func (l libraryLog) printf(format string, args []any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.print(fmt.Sprintf(format, args...))
	}
}

func (l libraryLog) Trace(string)                      {}
func (l libraryLog) Tracef(string, ...any)             {}
func (l libraryLog) Debug(msg string)                  { l.print(msg) }
func (l libraryLog) Debugf(format string, args ...any) { l.printf(format, args) }
func (l libraryLog) Info(msg string)                   { l.print(msg) }
func (l libraryLog) Infof(format string, args ...any)  { l.printf(format, args) }
func (l libraryLog) Warn(msg string)                   { l.print(msg) }
func (l libraryLog) Warnf(format string, args ...any)  { l.printf(format, args) }
func (l libraryLog) Error(msg string)                  { l.print(msg) }
func (l libraryLog) Errorf(format string, args ...any) { l.printf(format, args) }
