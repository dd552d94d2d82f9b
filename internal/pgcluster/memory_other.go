//go:build !linux

package pgcluster

func freeMemory(string) int64 { return 0 }
