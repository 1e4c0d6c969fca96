package cmd

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A key stands in a line, and in what is typed, as escape writes it: what does not
// print is \n, \t, \r or \xNN, a backslash is \\. Unescape reads it back, byte for
// byte.

func escape(key string) string {
	var text strings.Builder
	for i, r := range key {
		_, size := utf8.DecodeRuneInString(key[i:])
		switch {
		case r == '\\':
			text.WriteString(`\\`)
		case r == '\n':
			text.WriteString(`\n`)
		case r == '\t':
			text.WriteString(`\t`)
		case r == '\r':
			text.WriteString(`\r`)
		case r == utf8.RuneError && size == 1, !unicode.IsPrint(r):
			for _, b := range []byte(key[i : i+size]) {
				fmt.Fprintf(&text, `\x%02x`, b)
			}
		default:
			text.WriteRune(r)
		}
	}
	return text.String()
}

func unescape(text string) (string, error) {
	if !strings.Contains(text, `\`) {
		return text, nil
	}
	var key []byte
	for i := 0; i < len(text); i++ {
		if text[i] != '\\' {
			key = append(key, text[i])
			continue
		}
		i++
		switch rest := text[i:]; {
		case strings.HasPrefix(rest, `\`):
			key = append(key, '\\')
		case strings.HasPrefix(rest, "n"):
			key = append(key, '\n')
		case strings.HasPrefix(rest, "t"):
			key = append(key, '\t')
		case strings.HasPrefix(rest, "r"):
			key = append(key, '\r')
		case strings.HasPrefix(rest, "x") && len(rest) >= 3:
			b, err := strconv.ParseUint(rest[1:3], 16, 8)
			if err != nil {
				return "", fmt.Errorf(`key %s: \%s is not a byte: want \x and two hexadecimal digits`, text, rest[:3])
			}
			key = append(key, byte(b))
			i += 2
		default:
			return "", fmt.Errorf(`key %s: a backslash is written as \\, others are \n, \t, \r and \xNN`, text)
		}
	}
	return string(key), nil
}

// printable returns JSON with control characters, which a terminal would obey, as
// escapes. JSON has none outside of its strings, but white space.
func printable(value []byte) string {
	var text strings.Builder
	for i, r := range string(value) {
		_, size := utf8.DecodeRune(value[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			text.WriteByte(value[i])
		case unicode.IsControl(r) && r != '\n' && r != '\t':
			fmt.Fprintf(&text, `\u%04x`, r)
		default:
			text.WriteRune(r)
		}
	}
	return text.String()
}

// plain returns a text without the control characters that a terminal would obey.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\n' && r != '\t' {
			return '\uFFFD'
		}
		return r
	}, text)
}
