// Package lab makes calls through components that this project did not write: Kamailio with its rtpengine module between
// two sipp user agents, the modules of Kamailio and OpenSIPS with every function they export, and other clients of the NG
// protocol. Its tests start the daemon (LAB_DAEMON names another binary, the reference for example) and all they need on
// loopback, and end it.
//
// A call is judged by what arrives: sipp does the signalling and prints the addresses it was given, Endpoints of this
// package send and receive the RTP, every payload tells direction and number.
package lab
