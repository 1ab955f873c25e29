// Package sdp turns SDP text into a model and the model back into text. It opens no socket, logs nothing and reads no
// clock. The reader is tolerant: it takes what phones and browsers really send and keeps what it does not know; the
// writer prints a fresh body in one fixed order.
//
// Of pion/sdp it uses the attribute type. It does not use pion's reader, which refuses m=image and unordered lines and
// keeps only the last c= of a media; that reader is the oracle in the tests instead.
package sdp
