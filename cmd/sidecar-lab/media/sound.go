package media

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

const (
	// rateHz is the sampling rate of G.711, RFC 3551 section 4.5.14.
	rateHz = 8000
	// frameLen is how many samples a packet carries: 20 ms.
	frameLen = 160
)

// Source makes sound: it fills each frame of 20 ms.
type Source interface{ Frame(pcm []int16) }

// Tone is a sine.
type Tone struct {
	Hz float64
	n  int
}

// Frame goes on where the last one ended.
func (t *Tone) Frame(pcm []int16) {
	for i := range pcm {
		pcm[i] = int16(12000 * math.Sin(2*math.Pi*t.Hz*float64(t.n)/rateHz))
		t.n++
	}
}

// Loop plays samples over and over.
type Loop struct {
	PCM []int16
	n   int
}

// Frame goes on where the last one ended.
func (l *Loop) Frame(pcm []int16) {
	for i := range pcm {
		pcm[i] = 0
		if len(l.PCM) > 0 {
			pcm[i] = l.PCM[l.n%len(l.PCM)]
			l.n++
		}
	}
}

// Strength tells how much of a signal is a tone of this frequency, 0 to 1: the power of the signal's part at hz (Goertzel's
// question, asked by correlation) over the power of all.
func Strength(pcm []int16, hz float64) float64 {
	var re, im, total float64
	for i, s := range pcm {
		v, phase := float64(s), 2*math.Pi*hz*float64(i)/rateHz
		re, im, total = re+v*math.Cos(phase), im+v*math.Sin(phase), total+v*v
	}
	if total == 0 {
		return 0
	}
	return 2 * (re*re + im*im) / (float64(len(pcm)) * total)
}

// ReadWAV reads a RIFF WAVE file of 16-bit PCM, A-law or µ-law at 8 or 16 kHz and returns its first channel at 8 kHz.
// Source: Multimedia Programming Interface and Data Specifications 1.0, "WAVE"; RFC 2361 for the format numbers.
func ReadWAV(r io.Reader) ([]int16, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil || string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, errors.New("not a WAV file")
	}
	var format, channels, bits uint16
	var rate uint32
	for {
		var chunk [8]byte
		if _, err := io.ReadFull(r, chunk[:]); err != nil {
			return nil, fmt.Errorf("WAV file without data: %w", err)
		}
		size := binary.LittleEndian.Uint32(chunk[4:])
		switch string(chunk[:4]) {
		case "fmt ":
			b, err := io.ReadAll(io.LimitReader(r, int64(size+size&1)))
			if err != nil || len(b) < 16 {
				return nil, errors.New("WAV format too short")
			}
			format, channels = binary.LittleEndian.Uint16(b), binary.LittleEndian.Uint16(b[2:])
			rate, bits = binary.LittleEndian.Uint32(b[4:]), binary.LittleEndian.Uint16(b[14:])
		case "data":
			b, err := io.ReadAll(io.LimitReader(r, int64(size)))
			if err != nil {
				return nil, err
			}
			return samples(b, format, channels, bits, rate)
		default:
			if _, err := io.CopyN(io.Discard, r, int64(size)+int64(size&1)); err != nil {
				return nil, fmt.Errorf("WAV file without data: %w", err)
			}
		}
	}
}

func samples(b []byte, format, channels, bits uint16, rate uint32) ([]int16, error) {
	width := int(bits / 8)
	if channels == 0 || rate != rateHz && rate != 2*rateHz || !(format == 1 && bits == 16 || (format == 6 || format == 7) && bits == 8) {
		return nil, fmt.Errorf("WAV format %d with %d channels of %d bits at %d Hz; 16-bit PCM, A-law or µ-law at 8 or 16 kHz is read", format, channels, bits, rate)
	}
	var pcm []int16
	for step := width * int(channels); len(b) >= step; b = b[step:] {
		switch format {
		case 1:
			pcm = append(pcm, int16(binary.LittleEndian.Uint16(b)))
		case 6:
			pcm = append(pcm, alawDecode(b[0]))
		case 7:
			pcm = append(pcm, ulawDecode(b[0]))
		}
	}
	if rate == 2*rateHz { // pairs become one: enough of a low-pass for a test sound
		for i := range len(pcm) / 2 {
			pcm[i] = int16((int(pcm[2*i]) + int(pcm[2*i+1])) / 2)
		}
		pcm = pcm[:len(pcm)/2]
	}
	return pcm, nil
}

// WriteWAV writes 16-bit PCM at 8 kHz, one channel.
func WriteWAV(w io.Writer, pcm []int16) error {
	b := []byte("RIFF\x00\x00\x00\x00WAVEfmt \x10\x00\x00\x00\x01\x00\x01\x00")
	b = binary.LittleEndian.AppendUint32(b, rateHz)
	b = binary.LittleEndian.AppendUint32(b, 2*rateHz)
	b = append(b, 2, 0, 16, 0)
	b = append(b, "data"...)
	b = binary.LittleEndian.AppendUint32(b, uint32(2*len(pcm)))
	binary.LittleEndian.PutUint32(b[4:], uint32(len(b)-8+2*len(pcm)))
	for _, s := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	_, err := w.Write(b)
	return err
}
