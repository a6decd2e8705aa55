#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_PROCESS_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace actioncluster {

// A program to run as a child.
struct ProcessSpec {
  std::string program;                   // With a slash: a path. Without: looked for in PATH.
  std::vector<std::string> args;         // The first is the name that it goes by.
  std::vector<std::string> environment;  // `NAME=value`
  std::vector<int> inherited;  // Descriptors that stay open in the child; all others are expected to be close-on-exec.
  int output = -1;             // Where its standard output and error go. -1: where ours go.
};

// Starts it: with SIGTERM to come when this process ends, in a process group of its own (Ctrl-C is ours to pass on), with no signal blocked or
// ignored, and its standard input empty. Call it from the main thread of a process with one thread: the death signal is sent when the thread that forked ends.
// NOT_FOUND if there is no such program; INTERNAL for whatever else the system refuses.
absl::StatusOr<pid_t> Spawn(const ProcessSpec& spec);

// How a process ended, from waitpid: `exited with status 1`, `was killed by signal 9 (Killed)`.
std::string DescribeExit(int wait_status);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_PROCESS_H_
