// The program that holds namespaces open: the first process of every Pod, and of every node after
// `boot` has set it up. It waits, and reaps what its namespace orphans.

#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

static const int kAwaited[] = {SIGCHLD, SIGTERM, SIGINT};

int main() {
  sigset_t awaited;
  sigemptyset(&awaited);
  for (int number : kAwaited) sigaddset(&awaited, number);
  // Blocked, not handled: a first process gets no signal it has not asked for, and sigwait asks.
  sigprocmask(SIG_BLOCK, &awaited, nullptr);
  for (;;) {
    int number = 0;
    if (sigwait(&awaited, &number) != 0) return EXIT_FAILURE;
    if (number != SIGCHLD) return EXIT_SUCCESS;
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
}
