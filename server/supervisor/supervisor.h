#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_H_

#include <string>

#include "absl/status/status.h"
#include "server/config/settings.h"

namespace actioncluster {

// What a supervisor's workers are made from.
struct WorkerProgram {
  // The program is run as `PROGRAM node --slot I --ready-fd F`, with all settings in its environment, so that no password shows in a list of
  // processes. It writes one line to the descriptor F: `ready NAME ADDRESSES` or `failed REASON`.
  std::string path = "/proc/self/exe";
};

// Runs `actioncluster start`: the data directory and the ports are taken, the embedded redis-server (if the settings name no Redis) and the workers
// started, and all kept as SupervisorCore says, until SIGTERM or SIGINT. Says on standard output which node listens where. OK after
// a stop that was asked for; otherwise why it could not start, or went down.
//
// Call it from main's thread, with no other thread running: children get their death signal when the thread that forked them ends.
absl::Status RunSupervisor(Settings settings, const WorkerProgram& program = {});

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_H_
