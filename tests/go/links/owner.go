package links

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
)

// socketInode finds the inode of the socket that is bound to local and connected to remote: by asking
// the kernel for that one, or where it can't be asked so, in the list of all.
func socketInode(local, remote *net.TCPAddr) (string, error) {
	if inode, err := askInode(local, remote); err == nil {
		return inode, nil
	}
	return listedInode(local, remote)
}

const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	headerBytes      = 16 // nlmsghdr
	requestBytes     = 56 // inet_diag_req_v2
	inodeOffset      = headerBytes + 68
)

// askInode asks over netlink (sock_diag(7)): the cost does not grow with the machine's connections.
func askInode(local, remote *net.TCPAddr) (string, error) {
	socket, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return "", err
	}
	defer syscall.Close(socket)
	request := make([]byte, headerBytes+requestBytes)
	binary.NativeEndian.PutUint32(request[0:], uint32(len(request)))
	binary.NativeEndian.PutUint16(request[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(request[6:], syscall.NLM_F_REQUEST)
	body := request[headerBytes:]
	body[0], body[1] = syscall.AF_INET, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(body[4:], ^uint32(0)) // any state
	binary.BigEndian.PutUint16(body[8:], uint16(local.Port))
	binary.BigEndian.PutUint16(body[10:], uint16(remote.Port))
	copy(body[12:], local.IP.To4())
	copy(body[28:], remote.IP.To4())
	binary.NativeEndian.PutUint64(body[48:], ^uint64(0)) // no cookie
	if err := syscall.Sendto(socket, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return "", err
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(socket, answer, 0)
	if err != nil {
		return "", err
	}
	if n < inodeOffset+4 || binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return "", errors.New("no such socket")
	}
	return fmt.Sprint(binary.NativeEndian.Uint32(answer[inodeOffset:])), nil
}

// listedInode looks through /proc/net/tcp.
func listedInode(local, remote *net.TCPAddr) (string, error) {
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
