package topology

import "github.com/tidemark-dev/tidemark/topology/plan"

// String draws the topology as text, one line for each edge, group by group. A
// group is headed by its name, what it reads, and what comes of that: its tables,
// or else the topics that it publishes to, or else its other stores. Task n of a
// group reads the partitions n of all its inputs. It is stable: a golden file may
// hold it.
func (t *Topology) String() string { return t.plan().String() }

// Mermaid draws the topology as a Mermaid flowchart: a subgraph for each group,
// with its steps as boxes and its stores as cylinders; topics, global tables and
// sinks lie between the groups. Changelog topics are left out: each store has one.
// It is as stable as String.
func (t *Topology) Mermaid() string { return t.plan().Mermaid() }

// MarshalJSON describes the topology, see docs/topology-json.md. [plan.Diff] compares
// two descriptions.
func (t *Topology) MarshalJSON() ([]byte, error) { return t.plan().MarshalJSON() }

// Partitions returns how many partitions every topic of the application has or
// is to have, given the counts of those that exist: of inputs and outputs, of
// repartition topics and of changelogs. A repartition topic that does not say
// how many it wants gets as many as the topics that its reader reads beside it,
// or else as the largest of its writers' inputs has.
//
// The error lists every topic that is missing and not tidemark's to create,
// every group that keeps rows and whose inputs differ, and every topic of
// tidemark's that exists with another count than it is to have.
func (t *Topology) Partitions(known map[string]int32) (all map[string]int32, err error) {
	return t.plan().Partitions(known)
}

// plan returns the topology as a plain value.
func (t *Topology) plan() *plan.Plan {
	p := &plan.Plan{Application: t.application}
	for _, g := range t.groups {
		p.Groups = append(p.Groups, t.planOf(g))
	}
	for _, g := range t.globals {
		x := t.stores[g.Store]
		p.Globals = append(p.Globals, plan.Global{Store: g.Store, Topic: g.Topic, Key: x.key, Value: x.value})
	}
	repartitions := map[string]*plan.Repartition{}
	for _, r := range t.repartitions {
		repartitions[r.Topic] = &plan.Repartition{Partitions: r.Partitions}
	}
	for _, name := range t.Topics() {
		x := t.topics[name]
		p.Topics = append(p.Topics, plan.Topic{Name: name, Key: x.key, Value: x.value, Repartition: repartitions[name]})
	}
	return p
}

// planOf returns a group as a plain value.
func (t *Topology) planOf(g *Group) plan.Group {
	p := plan.Group{Name: g.Name, Inputs: g.Inputs, Outputs: g.Outputs}
	for i := range g.Globals {
		p.Globals = append(p.Globals, g.Globals[i].Store)
	}
	index, stores := map[*node]int{}, map[string]*kept{}
	for i, n := range g.order {
		index[n] = i
		s := plan.Step{Name: n.name, Kind: n.kind()}
		for _, up := range n.ups {
			s.Ups = append(s.Ups, index[up])
		}
		for _, k := range n.stores {
			s.Stores = append(s.Stores, k.name)
			if stores[k.name] == nil {
				stores[k.name] = k
			}
		}
		p.Steps = append(p.Steps, s)
	}
	for i := range g.Stores {
		s, k := &g.Stores[i], stores[g.Stores[i].Name]
		x := t.stores[s.Name]
		kept := plan.Store{
			Name: s.Name, Changelog: s.Changelog, Table: s.Table, EveryChange: s.EveryChange,
			Key: x.key, Value: x.value, Windows: k.windows, Grace: k.grace, TTL: k.life,
		}
		for _, sink := range s.Sinks {
			kept.Sinks = append(kept.Sinks, sink.String())
		}
		p.Stores = append(p.Stores, kept)
	}
	return p
}
