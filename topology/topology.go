package topology

// Partition returns the partition of a key among n, as Java's default
// partitioner computes it: murmur2, without its sign bit, modulo n.
func Partition(key []byte, n int32) int32 { return 0 }

// A Topology is a checked, immutable description, safe for concurrent use.
type Topology struct{}
