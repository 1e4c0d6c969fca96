package replica

import (
	"encoding/json"
	"fmt"
)

// A Home says whose the rows of a store on the disk are. It stands beside them.
type Home struct {
	Cluster     string `json:"cluster"` // Kafka's id
	Application string `json:"application"`
	Topic       string `json:"topic"`
	TopicID     string `json:"topic-id"`  // it changes when the topic is created again
	Partition   int32  `json:"partition"` // or All
	Meaning     string `json:"meaning"`   // of the rows, see topology.StateStore
}

// All is the partition of a replica that has all partitions of its topic.
const All = -1

func (h Home) String() string {
	text, _ := json.Marshal(h) // strings and a number: it cannot fail
	return string(text)
}

func parseHome(text string) (h Home, err error) {
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return h, fmt.Errorf("it does not say whose it is: %q", text)
	}
	return h, nil
}

// differs says why rows of another home are not those of this one, nil if they
// may be. It does not compare their meaning.
func (h Home) differs(is Home) error {
	switch {
	case is.Cluster != h.Cluster:
		return fmt.Errorf("it belongs to the Kafka cluster %q, and this is %q", is.Cluster, h.Cluster)
	case is.Application != h.Application:
		return fmt.Errorf("it belongs to application %q, and this is %q", is.Application, h.Application)
	case is.Topic != h.Topic:
		return fmt.Errorf("it belongs to topic %s, and this is %s", is.Topic, h.Topic)
	case is.Partition != h.Partition:
		return fmt.Errorf("it belongs to partition %d, and this is %d", is.Partition, h.Partition)
	case is.TopicID != h.TopicID:
		return fmt.Errorf("it belongs to another incarnation of topic %s", h.Topic)
	}
	return nil
}
