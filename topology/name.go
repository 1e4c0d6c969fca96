package topology

import "fmt"

// maxName is the longest name of a topic that Kafka takes.
const maxName = 249

// checkName says what Kafka would have against a topic of a name, or one that
// begins with it.
func checkName(what, name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%s: it has no name", what)
	case name == "." || name == "..":
		return fmt.Errorf("%s %q: Kafka refuses this name", what, name)
	case len(name) > maxName:
		return fmt.Errorf("%s %q: the name has %d bytes, more than Kafka's %d", what, name, len(name), maxName)
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return fmt.Errorf("%s %q: a name is made of letters, digits, '.', '_' and '-', not of %q", what, name, c)
		}
	}
	return nil
}
