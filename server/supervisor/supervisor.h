#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"

namespace actioncluster {

// What a supervisor's workers are made from.
struct WorkerProgram {
  // The program is run as `PROGRAM node --slot I --ready-fd F`, with all settings in its environment, so that no password shows in a list of
  // processes. It writes one line to the descriptor F: `ready NAME ADDRESSES` or `failed REASON`.
  std::string path = "/proc/self/exe";
  // Reads the settings anew, for SIGHUP. None: SIGHUP restarts with those that are.
  std::function<absl::StatusOr<Settings>()> reload = nullptr;
};

// Runs `actioncluster start`: the data directory and the ports are taken, the embedded redis-server (if the settings name no Redis) and the workers
// started, and all kept as SupervisorCore says. Says on standard output which node listens where. OK after a stop that was asked for; otherwise why it
// could not start, or went down.
//
// | signal | order |
// |---|---|
// | TERM, INT | drain and stop; the second one kills |
// | QUIT | stop now: nodes are killed, Redis is stopped in good order |
// | USR2 | rolling restart |
// | HUP | the same with settings read anew, and their number of nodes; from a terminal that is gone, it is TERM |
// | TTIN, TTOU | one node more, one fewer |
// | WINCH | all nodes down; TTIN, HUP or `scale` bring them back. A terminal that changes its size is ignored |
//
// The same by name through the control socket (control.h). A service manager is told by sd_notify.
//
// Call it from main's thread, with no other thread running: children get their death signal when the thread that forked them ends.
absl::Status RunSupervisor(Settings settings, const WorkerProgram& program = {});

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_SUPERVISOR_H_
