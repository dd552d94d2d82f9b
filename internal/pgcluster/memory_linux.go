package pgcluster

import "golang.org/x/sys/unix"

// freeMemory returns how many bytes are free in a file system in memory, 0 if dir is
// in another one.
func freeMemory(dir string) int64 {
	var fs unix.Statfs_t
	if unix.Statfs(dir, &fs) != nil || fs.Type != unix.TMPFS_MAGIC || unix.Access(dir, unix.W_OK) != nil {
		return 0
	}
	return int64(fs.Bavail) * fs.Bsize
}
