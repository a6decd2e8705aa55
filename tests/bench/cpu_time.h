#ifndef ACTIONCLUSTER_TESTS_BENCH_CPU_TIME_H_
#define ACTIONCLUSTER_TESTS_BENCH_CPU_TIME_H_

#include <sys/types.h>

#include "absl/time/time.h"

namespace actioncluster::bench {

// The CPU time that a process has used so far in all its threads, in user code and in the kernel, to 10 ms. Fails the program if there is no such process.
absl::Duration CpuTimeOf(pid_t pid);

}  // namespace actioncluster::bench

#endif  // ACTIONCLUSTER_TESTS_BENCH_CPU_TIME_H_
