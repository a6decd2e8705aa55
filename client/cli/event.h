#ifndef ACTIONCLUSTER_CLIENT_CLI_EVENT_H_
#define ACTIONCLUSTER_CLIENT_CLI_EVENT_H_

#include "client/cli/file_descriptor.h"

namespace actioncluster::cli {

// Something that happens, to be waited for with poll: its descriptor is readable from Set until Clear. Thread-safe.
class Event {
 public:
  Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void Set();
  void Clear();
  int fd() const { return fd_.get(); }

 private:
  const FileDescriptor fd_;
};

}  // namespace actioncluster::cli

#endif  // ACTIONCLUSTER_CLIENT_CLI_EVENT_H_
