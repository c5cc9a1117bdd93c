package member

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports of tests lie below the range from which the system gives ports to outgoing connections: one
// of those could take a port before the server that it is meant for listens, or while it is down.
const firstPort, lastPort = 12000, 29999

// FreePorts returns n distinct loopback ports that are free now.
func FreePorts(n int) ([]int, error) {
	ports := make([]int, 0, n)
	for range 1000 * n {
		if len(ports) == n {
			return ports, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort+1)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		defer listener.Close() // all held until the last is chosen, so that they differ
		ports = append(ports, port)
	}
	return nil, fmt.Errorf("no %d free ports from %d to %d", n, firstPort, lastPort)
}
