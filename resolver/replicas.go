package resolver

import "time"

// ReplicaStats is what is known of one replica.
type ReplicaStats struct {
	Shard, Node string
	// Staleness bounds how old what is read there may be: everything that was committed
	// longer ago is there. It is sampled, every second while nothing is written, and not
	// known (negative) of a replica that has not answered yet, or is Down.
	Staleness time.Duration
	// Down is whether reads avoid it because it failed.
	Down bool
}

// Replicas returns what is known of every replica of the shards in use.
func (r *Router) Replicas() []ReplicaStats {
	var all []ReplicaStats
	for at, s := range *r.shards.Load() {
		if at.login != "" {
			continue // the same nodes
		}
		for _, replica := range s.replicas {
			all = append(all, replica.stats())
		}
	}
	return all
}

func (r *replica) stats() ReplicaStats {
	at := now()
	st := ReplicaStats{Shard: r.Shard(), Node: r.Node(), Staleness: -1, Down: r.downUntil.Load() >= at}
	if mark := r.watermark.Load(); mark > 0 && !st.Down {
		st.Staleness = time.Duration(max(at-mark, 0))
	}
	return st
}
