package codec

import "fmt"

// checkSize refuses data that is not as long as every value of the kind is.
func checkSize(data []byte, size int, kind string) error {
	if len(data) != size {
		return fmt.Errorf("%d bytes %q, not the %d of %s", len(data), clip(data), size, kind)
	}
	return nil
}

// clip shortens data for an error text.
func clip(data []byte) []byte {
	if len(data) > 32 {
		return data[:32]
	}
	return data
}
