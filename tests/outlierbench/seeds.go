package main

// seedSet is what one evaluation runs on.
type seedSet struct {
	judged, clean []uint64
	hours         float64 // of each clean run
}

// seedSets keeps what is tuned on apart from what is judged by. Whoever tunes
// on the judging seeds must choose new ones.
var seedSets = map[string]seedSet{
	"tune":  {judged: sequence(1, 30), clean: sequence(101, 1), hours: 24},
	"judge": {judged: sequence(700_001, 30), clean: sequence(800_001, 1), hours: 24},
}

func sequence(first uint64, n int) []uint64 {
	s := make([]uint64, n)
	for i := range s {
		s[i] = first + uint64(i)
	}
	return s
}
