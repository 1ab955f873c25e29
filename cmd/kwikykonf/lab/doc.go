// Package lab holds no code but a test: the conference's page in a real browser, over a real proxy and a real relay, in
// the network namespaces of scripts/webrtclab.
package lab
