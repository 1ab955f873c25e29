package sdp

import "strings"

// AttributeLines are the a= lines of a body's media sections as they are written, without line ends.
func AttributeLines(text string) [][]string {
	var list [][]string
	l := lexer{rest: text}
	for l.next() {
		switch {
		case strings.HasPrefix(l.text, "m="):
			list = append(list, nil)
		case strings.HasPrefix(l.text, "a=") && len(list) > 0:
			last := len(list) - 1
			list[last] = append(list[last], l.text)
		}
	}
	return list
}

// arrange puts the lines of dst[start:] that order has into its order, in front of the others.
func arrange(dst []byte, start int, order []string) []byte {
	lines := strings.SplitAfter(string(dst[start:]), "\r\n")
	at := make(map[string][]int, len(lines))
	for i, text := range lines {
		text = strings.TrimSuffix(text, "\r\n")
		at[text] = append(at[text], i)
	}
	dst = dst[:start]
	for _, text := range order {
		if list := at[text]; len(list) > 0 {
			dst = append(dst, lines[list[0]]...)
			lines[list[0]], at[text] = "", list[1:]
		}
	}
	for _, text := range lines {
		dst = append(dst, text...)
	}
	return dst
}
