// Package opensipscfg renders a configuration for OpenSIPS 3.4, 3.6 or 4.0: registrar and proxy for browsers (WS, WSS) and
// classic phones (UDP, TCP, TLS) on IPv4 and IPv6, open to federation, with this project's daemon as the media relay.
//
// [Values] is all that can be chosen; [Render] turns it into files, one room for each route. The flag strings for the
// relay come from one table ([MediaTable]) and stand in one route of the result.
package opensipscfg
