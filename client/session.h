#ifndef ACTIONCLUSTER_CLIENT_SESSION_H_
#define ACTIONCLUSTER_CLIENT_SESSION_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace actioncluster::client {

// One stream to one node, from its start to its end: what an Attachment keeps one of alive. All functions are called one at a time.
class Session {
 public:
  // What the session tells its attachment, from gRPC's threads.
  struct Observer {
    std::function<void(const std::string& node_id)> attached;
    std::function<void(const std::vector<std::string>& alternatives)> draining;
    // The last that it does; no function of the user runs any more for it. Once, if it was started.
    std::function<void(const absl::Status& why)> ended;
  };

  virtual ~Session() = default;

  virtual void Start() = 0;
  // Takes nothing new, and ends when what runs has ended.
  virtual void Retire() = 0;
  // Ends as soon as can be.
  virtual void Cancel() = 0;

  // How often the node wants to hear from it, while it is attached; then Tick.
  virtual absl::Duration tick_every() const { return absl::InfiniteDuration(); }
  virtual void Tick() {}
};

}  // namespace actioncluster::client

#endif  // ACTIONCLUSTER_CLIENT_SESSION_H_
