package topology

import (
	"slices"
	"strings"

	"github.com/tidemark-dev/tidemark/topology/plan"
)

// kind is a step's verb: its name without the number, store or branch. That of a
// topic is "topic" if it is read, else "publish".
func (n *node) kind() plan.Kind {
	verb, last, ok := cutLast(n.name)
	switch {
	case !ok:
		return plan.Kind(n.name)
	case n.source && !n.global:
		return plan.KindTopic
	case strings.HasPrefix(n.name, "topic "):
		return plan.KindPublish
	case strings.HasPrefix(n.name, "branch "):
		return "branch"
	case strings.HasPrefix(n.name, "foreign key "):
		return "foreign key"
	case n.global, strings.Trim(last, "0123456789") == "", slices.ContainsFunc(n.stores, func(k *kept) bool { return k.name == last || strings.HasPrefix(k.name, last+"-") }):
		return plan.Kind(verb)
	}
	return plan.Kind(n.name)
}

func cutLast(name string) (before, last string, ok bool) {
	i := strings.LastIndexByte(name, ' ')
	if i < 0 {
		return name, "", false
	}
	return name[:i], name[i+1:], true
}
