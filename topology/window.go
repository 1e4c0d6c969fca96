package topology

// A windowing says how the keys of a stream were windowed.
type windowing struct{}
