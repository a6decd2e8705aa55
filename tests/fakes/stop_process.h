#ifndef ACTIONCLUSTER_TESTS_FAKES_STOP_PROCESS_H_
#define ACTIONCLUSTER_TESTS_FAKES_STOP_PROCESS_H_

#include <sys/types.h>

namespace actioncluster::fakes {

// SIGSTOP, and waits until no thread of the process runs any more: the signal alone takes effect some time after kill() has returned, enough for a call to be
// answered. Ends the program if there is no such process.
void StopProcess(pid_t pid);

}  // namespace actioncluster::fakes

#endif  // ACTIONCLUSTER_TESTS_FAKES_STOP_PROCESS_H_
