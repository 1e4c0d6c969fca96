package codec

// scan returns the index behind the JSON value that starts at i, white space
// before and after it included, or -1 if it is not sure that there is one. Three
// times as fast as json.Valid, it is meant for the good path: json.Valid has the
// last word on what it refuses.
func scan(data []byte, i, depth int) int {
	i = space(data, i)
	if i >= len(data) || depth > maxDepth {
		return -1
	}
	switch data[i] {
	case '{':
		i = scanList(data, i, depth, '}')
	case '[':
		i = scanList(data, i, depth, ']')
	case '"':
		i = scanString(data, i)
	case 't':
		i = scanWord(data, i, "true")
	case 'f':
		i = scanWord(data, i, "false")
	case 'n':
		i = scanWord(data, i, "null")
	default:
		i = scanNumber(data, i)
	}
	if i < 0 {
		return -1
	}
	return space(data, i)
}

// maxDepth keeps the stack small; deeper values are left to json.Valid.
const maxDepth = 100

// scanList scans an object or an array, from its first bracket to its last.
func scanList(data []byte, i, depth int, end byte) int {
	i = space(data, i+1)
	if i < len(data) && data[i] == end {
		return i + 1
	}
	for {
		if end == '}' {
			if i = space(data, i); i >= len(data) || data[i] != '"' {
				return -1
			}
			if i = scanString(data, i); i < 0 {
				return -1
			}
			if i = space(data, i); i >= len(data) || data[i] != ':' {
				return -1
			}
			i++
		}
		if i = scan(data, i, depth+1); i < 0 || i >= len(data) {
			return -1
		}
		switch data[i] {
		case end:
			return i + 1
		case ',':
			i++
		default:
			return -1
		}
	}
}

// scanString scans a string without escapes.
func scanString(data []byte, i int) int {
	for i++; i < len(data); i++ {
		switch c := data[i]; {
		case c == '"':
			return i + 1
		case c == '\\' || c < ' ':
			return -1
		}
	}
	return -1
}

func scanWord(data []byte, i int, word string) int {
	if end := i + len(word); end <= len(data) && string(data[i:end]) == word {
		return end
	}
	return -1
}

// scanNumber scans a number without an exponent.
func scanNumber(data []byte, i int) int {
	if i < len(data) && data[i] == '-' {
		i++
	}
	from := i
	i = digits(data, i)
	if i == from || data[from] == '0' && i > from+1 {
		return -1
	}
	if i < len(data) && data[i] == '.' {
		from = i + 1
		if i = digits(data, from); i == from {
			return -1
		}
	}
	if i < len(data) && (data[i] == 'e' || data[i] == 'E') {
		return -1
	}
	return i
}

func digits(data []byte, i int) int {
	for i < len(data) && data[i] >= '0' && data[i] <= '9' {
		i++
	}
	return i
}

func space(data []byte, i int) int {
	for i < len(data) && (data[i] == ' ' || data[i] == '\n' || data[i] == '\t' || data[i] == '\r') {
		i++
	}
	return i
}
