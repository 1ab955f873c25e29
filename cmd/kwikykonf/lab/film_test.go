//go:build pictures

package lab

import (
	"bufio"
	"fmt"
	"image"
	"image/color"
	"math"
	"os"
)

// height of a film in lines.
const height = 360

// person is a figure before a wall.
type person struct {
	name                      string
	light, shade, skin, cloth color.RGBA
}

// film writes two seconds of the person swaying, as YUV4MPEG2, which Chromium plays as a camera, again and again.
func (p person) film(name string) error {
	const width, frames = 640, 30
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	fmt.Fprintf(w, "YUV4MPEG2 W%d H%d F15:1 Ip A1:1 C420jpeg\n", width, height)
	for i := range frames {
		turn := 2 * math.Pi * float64(i) / frames
		frame := image.NewYCbCr(image.Rect(0, 0, width, height), image.YCbCrSubsampleRatio420)
		for y := range height {
			for x := range width {
				c := p.at(float64(x)/height, float64(y)/height, turn)
				yy, cb, cr := color.RGBToYCbCr(c.R, c.G, c.B)
				frame.Y[frame.YOffset(x, y)] = yy
				frame.Cb[frame.COffset(x, y)], frame.Cr[frame.COffset(x, y)] = cb, cr
			}
		}
		fmt.Fprint(w, "FRAME\n")
		for _, plane := range [][]byte{frame.Y, frame.Cb, frame.Cr} {
			if _, err := w.Write(plane); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}

// at is the colour of a point, in heights of the picture.
func (p person) at(x, y, turn float64) color.RGBA {
	c := mix(p.light, p.shade, min(1, math.Hypot(x-0.35, y-0.1)/1.35))
	sway := 0.012 * math.Sin(turn)
	ellipse := func(cx, cy, rx, ry float64, in color.RGBA) {
		d := math.Hypot((x-cx)/rx, (y-cy)/ry)
		c = mix(in, c, min(1, max(0, (d-1)*min(rx, ry)*height/1.5+0.5)))
	}
	ellipse(0.89+sway/3, 1.08, 0.40, 0.40, p.cloth)
	ellipse(0.89+sway/2, 0.68, 0.085, 0.13, mix(p.skin, color.RGBA{0, 0, 0, 255}, 0.14))
	ellipse(0.89+sway, 0.43, 0.168, 0.205, mix(p.cloth, color.RGBA{20, 16, 14, 255}, 0.75))
	ellipse(0.89+sway, 0.485, 0.142, 0.18, p.skin)
	nod := 0.004 * math.Cos(turn)
	dark := color.RGBA{38, 28, 26, 255}
	ellipse(0.838+sway, 0.465+nod, 0.012, 0.014, dark)
	ellipse(0.942+sway, 0.465+nod, 0.012, 0.014, dark)
	ellipse(0.89+sway, 0.585+nod, 0.035, 0.008+0.008*math.Abs(math.Sin(turn)), mix(p.skin, color.RGBA{120, 40, 40, 255}, 0.6))
	return c
}

// mix is a with this share of b.
func mix(a, b color.RGBA, share float64) color.RGBA {
	m := func(x, y uint8) uint8 { return uint8(float64(x)*(1-share) + float64(y)*share) }
	return color.RGBA{m(a.R, b.R), m(a.G, b.G), m(a.B, b.B), 255}
}
