package links

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
)

// socketInode finds the inode of the socket that is bound to local and connected to remote.
func socketInode(local, remote *net.TCPAddr) (string, error) {
	content, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return "", err
	}
	want := kernelAddress(local) + " " + kernelAddress(remote)
	for line := range strings.Lines(string(content)) {
		if !strings.Contains(line, want) {
			continue
		}
		// sl local remote st queues timer retransmits uid timeout inode
		if fields := strings.Fields(line); len(fields) > 9 {
			return fields[9], nil
		}
	}
	return "", errors.New("no such socket")
}

// kernelAddress writes an IPv4 address as /proc/net/tcp does: the address as a number of the
// machine's byte order, and the port, in hex.
func kernelAddress(a *net.TCPAddr) string {
	return fmt.Sprintf("%08X:%04X", binary.NativeEndian.Uint32(a.IP.To4()), a.Port)
}

// holdsSocket tells if a process has the socket open.
func holdsSocket(pid int, inode string) bool {
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	descriptors, err := os.ReadDir(folder)
	if err != nil {
		return false
	}
	for _, d := range descriptors {
		if target, err := os.Readlink(folder + "/" + d.Name()); err == nil && target == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
