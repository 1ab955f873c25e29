package srtp

import "slices"

// Cipher is how a suite encrypts.
type Cipher uint8

// The ciphers.
const (
	AESCM Cipher = iota // RFC 3711 section 4.1.1, RFC 6188
	AEAD                // AES-GCM, RFC 7714
	F8                  // RFC 3711 section 4.1.2
	Null                // RFC 3711 section 4.1.3
)

// Suite is one crypto suite. The rows are unique: suites are equal when their pointers are. Lengths are in bytes.
type Suite struct {
	Name       string // SDES name, RFC 4568 section 6.2
	Profile    uint16 // DTLS-SRTP protection profile, RFC 5764 section 4.1.2; 0 none
	Cipher     Cipher
	KeyLen     int // master key and session encryption key
	SaltLen    int // master salt and session salt
	RTPTagLen  int
	RTCPTagLen int
}

// suites stand in the order in which they are offered, strongest first.
//
// The NULL suites have protection profiles too, but with an empty master key, which SDES does not know. No DTLS peer
// that matters offers them, so they have none here.
var suites = []*Suite{
	{Name: "AEAD_AES_256_GCM", Profile: 0x0008, Cipher: AEAD, KeyLen: 32, SaltLen: 12, RTPTagLen: 16, RTCPTagLen: 16},
	{Name: "AEAD_AES_128_GCM", Profile: 0x0007, Cipher: AEAD, KeyLen: 16, SaltLen: 12, RTPTagLen: 16, RTCPTagLen: 16},
	{Name: "AES_256_CM_HMAC_SHA1_80", Cipher: AESCM, KeyLen: 32, SaltLen: 14, RTPTagLen: 10, RTCPTagLen: 10},
	{Name: "AES_256_CM_HMAC_SHA1_32", Cipher: AESCM, KeyLen: 32, SaltLen: 14, RTPTagLen: 4, RTCPTagLen: 10},
	{Name: "AES_192_CM_HMAC_SHA1_80", Cipher: AESCM, KeyLen: 24, SaltLen: 14, RTPTagLen: 10, RTCPTagLen: 10},
	{Name: "AES_192_CM_HMAC_SHA1_32", Cipher: AESCM, KeyLen: 24, SaltLen: 14, RTPTagLen: 4, RTCPTagLen: 10},
	{Name: "AES_CM_128_HMAC_SHA1_80", Profile: 0x0001, Cipher: AESCM, KeyLen: 16, SaltLen: 14, RTPTagLen: 10, RTCPTagLen: 10},
	{Name: "AES_CM_128_HMAC_SHA1_32", Profile: 0x0002, Cipher: AESCM, KeyLen: 16, SaltLen: 14, RTPTagLen: 4, RTCPTagLen: 10},
	{Name: "F8_128_HMAC_SHA1_80", Cipher: F8, KeyLen: 16, SaltLen: 14, RTPTagLen: 10, RTCPTagLen: 10},
	{Name: "F8_128_HMAC_SHA1_32", Cipher: F8, KeyLen: 16, SaltLen: 14, RTPTagLen: 4, RTCPTagLen: 10},
	{Name: "NULL_HMAC_SHA1_80", Cipher: Null, KeyLen: 16, SaltLen: 14, RTPTagLen: 10, RTCPTagLen: 10},
	{Name: "NULL_HMAC_SHA1_32", Cipher: Null, KeyLen: 16, SaltLen: 14, RTPTagLen: 4, RTCPTagLen: 10},
}

// Suites are all suites in the order in which they are offered by default. The slice is the caller's.
func Suites() []*Suite { return slices.Clone(suites) }

// SuiteByName is the suite with this SDES name, nil when there is none. Names are compared as they are: RFC 4568
// defines them in upper case.
func SuiteByName(name string) *Suite {
	for _, s := range suites {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// SuiteByProfile is the suite with this DTLS-SRTP protection profile, nil when there is none.
func SuiteByProfile(profile uint16) *Suite {
	for _, s := range suites {
		if s.Profile == profile && profile != 0 {
			return s
		}
	}
	return nil
}

// String is the SDES name.
func (s *Suite) String() string {
	if s == nil {
		return "none"
	}
	return s.Name
}
