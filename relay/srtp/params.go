package srtp

// Params configure one direction of one SRTP association. A nil Suite means no protection.
type Params struct {
	Suite *Suite
	Key   []byte // Suite.KeyLen bytes
	Salt  []byte // Suite.SaltLen bytes
	MKI   []byte // nil: none

	// Session parameters of RFC 4568 section 6.3.
	UnencryptedRTP, UnencryptedRTCP, UnauthenticatedRTP bool
}

// Suite is one crypto suite or protection profile.
type Suite struct {
	Name    string // SDES name, RFC 4568
	Profile uint16 // DTLS-SRTP protection profile id, RFC 5764; 0: none
	KeyLen  int    // bytes
	SaltLen int    // bytes
}
