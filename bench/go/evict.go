package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

const fadviseDontNeed = 4

// evict writes a topic's files to disk and drops them from the page cache, so that the next read is cold. The folder
// is found through the files that the broker (-pid) has open.
func evict(o options) (figures, error) {
	if len(o.pids) != 1 {
		return nil, errors.New("evict needs -pid of one broker")
	}
	links, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", o.pids[0]))
	folders := map[string]bool{}
	for _, link := range links {
		target, err := os.Readlink(link)
		if err == nil && strings.HasPrefix(filepath.Base(filepath.Dir(target)), o.topic+"-") {
			folders[filepath.Dir(target)] = true
		}
	}
	if len(folders) == 0 {
		return nil, fmt.Errorf("process %d has no file of topic %s open", o.pids[0], o.topic)
	}
	dropped := 0.0
	for folder := range folders {
		files, _ := filepath.Glob(filepath.Join(folder, "*.log"))
		for _, path := range files {
			size, err := dropFromCache(path)
			if err != nil {
				return nil, err
			}
			dropped += size
		}
	}
	return figures{"droppedMB": dropped / (1 << 20)}, nil
}

func dropFromCache(path string) (float64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	if err := file.Sync(); err != nil {
		return 0, err
	}
	facts, err := file.Stat()
	if err != nil {
		return 0, err
	}
	if _, _, errno := syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, fadviseDontNeed, 0, 0); errno != 0 {
		return 0, errno
	}
	return float64(facts.Size()), nil
}
