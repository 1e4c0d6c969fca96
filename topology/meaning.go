package topology

import (
	"regexp"
	"slices"
	"strings"
)

// meaning says what the rows of a store mean, as far as rows of another meaning
// must not be among them: what makes a table, its windows, and how keys and values
// are encoded. It leaves out what may change while rows stay: grace, time to live,
// the names of types, and codecs of the program's own, of which only it knows
// whether they understand each other.
func (s *kept) meaning(b *Builder) string {
	var parts []string
	if s.table {
		if i := slices.IndexFunc(b.nodes, func(n *node) bool { return slices.Contains(n.stores, s) }); i >= 0 {
			parts = append(parts, string(b.nodes[i].kind()))
		}
	}
	if s.windows != "" {
		parts = append(parts, "windows "+s.windows)
	}
	if s.texts != nil {
		for name, codec := range map[string]string{"keys ": s.texts.key, "values ": s.texts.value} {
			if known := ownCodec(codec); known != "" {
				parts = append(parts, name+known)
			}
		}
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}

var typeArguments = regexp.MustCompile(`\[[^\[\]]*\]`)

// ownCodec is the name of a codec of tidemark's, without its types; "" for one of
// the program's.
func ownCodec(name string) string {
	for {
		short := typeArguments.ReplaceAllString(name, "")
		if short == name {
			break
		}
		name = short
	}
	for part := range strings.SplitSeq(name, " of ") {
		pkg, _, _ := strings.Cut(strings.TrimLeft(part, "*"), ".")
		if !slices.Contains([]string{"codec", "protobuf", "topology"}, pkg) {
			return ""
		}
	}
	return name
}
