package media

// ulawEncode and ulawDecode are G.711 µ-law, ITU-T G.711 table 2.
func ulawEncode(s int16) byte {
	const bias, clip = 0x84, 32635
	sign, v := byte(0), int(s)
	if v < 0 {
		sign, v = 0x80, -v
	}
	v = min(v, clip) + bias
	exp := 7
	for mask := 0x4000; exp > 0 && v&mask == 0; mask >>= 1 {
		exp--
	}
	return ^(sign | byte(exp)<<4 | byte(v>>(exp+3))&0x0f)
}

func ulawDecode(b byte) int16 {
	b = ^b
	v := (int(b&0x0f)<<3+0x84)<<(b>>4&7) - 0x84
	if b&0x80 != 0 {
		v = -v
	}
	return int16(v)
}

// alawEncode and alawDecode are G.711 A-law, ITU-T G.711 table 1, every second bit inverted.
func alawEncode(s int16) byte {
	sign, v := byte(0x80), int(s)
	if v < 0 {
		sign, v = 0, -v-1
	}
	exp := 7
	for mask := 0x4000; exp > 0 && v&mask == 0; mask >>= 1 {
		exp--
	}
	mantissa := byte(v>>(exp+3)) & 0x0f
	if exp == 0 {
		mantissa = byte(v>>4) & 0x0f
	}
	return (sign | byte(exp)<<4 | mantissa) ^ 0x55
}

func alawDecode(b byte) int16 {
	b ^= 0x55
	exp := b >> 4 & 7
	v := int(b&0x0f)<<4 + 8
	if exp > 0 {
		v = (v + 0x100) << (exp - 1)
	}
	if b&0x80 == 0 {
		v = -v
	}
	return int16(v)
}
