package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// images are the files behind the volumes of this node, one `<volume>.img` each. A file is as long as
// its volume is large and takes what is written to it. Loop devices are set up by mount itself, with
// the flag that frees them with their last mount: none is ever held by this process.
type images struct {
	dir string
	mu  sync.Mutex // one change at a time: growing and mounting the same volume must not cross
}

func openImages(dir string) (*images, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	return &images{dir: dir}, nil
}

func (i *images) path(volume string) string { return filepath.Join(i.dir, volume+".img") }

// mount has the volume mounted at target, made with so many bytes if it is not there yet.
func (i *images) mount(volume, target string, bytes int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if mounted, err := isMounted(target); err != nil || mounted {
		return err
	}
	if err := i.make(volume, bytes); err != nil {
		return err
	}
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	return command("mount", "-t", "xfs", "-o", "loop", i.path(volume), target)
}

// make formats under another name first: a file with the volume's own name is a whole file system.
func (i *images) make(volume string, bytes int64) error {
	path := i.path(volume)
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(unfinished, bytes); err != nil {
		return err
	}
	// "Unsupported" is any size below 300 MB, for the log's speed.
	if err := command("mkfs.xfs", "-q", "-f", "--unsupported", unfinished); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

// grow gives the volume mounted at target so many bytes; never fewer than it has.
func (i *images) grow(volume, target string, bytes int64) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	path := i.path(volume)
	file, err := os.Stat(path)
	if err != nil {
		return err
	}
	if file.Size() < bytes {
		if err := os.Truncate(path, bytes); err != nil {
			return err
		}
	}
	devices, err := exec.Command("losetup", "--noheadings", "--output", "NAME", "--associated", path).Output()
	if err != nil {
		return fmt.Errorf("losetup: %w", err)
	}
	for _, device := range strings.Fields(string(devices)) {
		if err := command("losetup", "--set-capacity", device); err != nil {
			return err
		}
	}
	return command("xfs_growfs", "-d", target)
}

// remove deletes the volume's file; one that is not there is removed.
func (i *images) remove(volume string) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if err := os.Remove(i.path(volume)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// unmount takes away what is mounted there, and the directory. Nothing there is no error.
func unmount(target string) error {
	for {
		mounted, err := isMounted(target)
		if err != nil {
			return err
		}
		if !mounted {
			break
		}
		if err := command("umount", target); err != nil {
			return err
		}
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func isMounted(target string) (bool, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		// The fifth field is where, with blanks as octal escapes: none in the kubelet's paths.
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == target {
			return true, nil
		}
	}
	return false, nil
}

func command(name string, arguments ...string) error {
	out, err := exec.Command(name, arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(arguments, " "), err, strconv.Quote(strings.TrimSpace(string(out))))
	}
	return nil
}
