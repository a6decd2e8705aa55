#ifndef ACTIONCLUSTER_SERVER_NODE_H_
#define ACTIONCLUSTER_SERVER_NODE_H_

#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/config/settings.h"

namespace actioncluster {

// What is particular to one worker of a machine.
struct WorkerSlot {
  int index = 1;  // 1 … workers
  // Called once, on the main thread, when the node serves: its name and the addresses it listens on.
  absl::AnyInvocable<void(const std::string& node_id, const std::string& addresses)> on_ready;
  // Called on the main thread each kAliveEvery, while the node runs and its I/O thread does its work.
  absl::AnyInvocable<void()> on_alive;
};

inline constexpr absl::Duration kAliveEvery = absl::Seconds(2);

// Runs one node in this process until SIGTERM, SIGINT or `node.shutdown`: joins, serves, drains, leaves. OK after a clean stop; otherwise why it could
// not start. Settings.redis is set (the supervisor has started the embedded one). Call it from main's thread, with no other thread running: it
// blocks these signals for all threads that come.
absl::Status RunNode(const Settings& settings, WorkerSlot slot);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_NODE_H_
