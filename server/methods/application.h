#ifndef ACTIONCLUSTER_SERVER_METHODS_APPLICATION_H_
#define ACTIONCLUSTER_SERVER_METHODS_APPLICATION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "backplane/rpc/local_methods.h"

namespace actioncluster {

// An application that is attached to this node, as the method table sees it: somewhere to send frames to. Sending never blocks and never calls back into the
// table; a frame other than a call for which there is no room ends the stream. Called on the I/O thread.
class Application {
 public:
  virtual ~Application() = default;
  // False: there is no room for it now, as too much waits to be read; nothing was sent.
  virtual bool SendCall(const std::string& call_id, IncomingCall call) = 0;
  virtual void SendCancel(const std::string& call_id) = 0;
  virtual void SendDraining(const std::vector<std::string>& alternatives) = 0;
  // Ends its stream with this status. The table has let go of it already.
  virtual void Close(const absl::Status& why) = 0;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_METHODS_APPLICATION_H_
