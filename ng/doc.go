// Package ng speaks the NG control protocol: bytes in, [Request] to a [Handler], [Reply] out, each cookie once.
//
//	message    = cookie SP dictionary
//	cookie     = bytes without a space, chosen by the client, echoed in the reply
//	dictionary = bencode dictionary ("d" … "e") or JSON object ("{" … "}"); the reply has the request's form
//	request    = dictionary with the key "command"
//	reply      = dictionary with the key "result": "ok", "pong", "load limit" or "error" (then also "error-reason")
//
// The package knows nothing of calls, SDP or media.
package ng
