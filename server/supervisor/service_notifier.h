#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_SERVICE_NOTIFIER_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_SERVICE_NOTIFIER_H_

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/supervisor/file_descriptor.h"

namespace actioncluster {

// Tells the service manager how we are: systemd's protocol of sd_notify, lines of `NAME=value` in one datagram. Where nobody asked for it, nothing
// happens; what cannot be told is not repeated. Not thread-safe.
class ServiceNotifier {
 public:
  // By the environment's NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID, which are taken out of it: they are not for children. Call it while there
  // is one thread.
  static ServiceNotifier FromEnvironment();

  void Send(absl::string_view lines) const;
  // How often WATCHDOG=1 is to be sent: half of what is allowed. Infinite: never.
  absl::Duration watchdog_every() const { return watchdog_every_; }

 private:
  FileDescriptor socket_;  // Connected, or closed.
  absl::Duration watchdog_every_ = absl::InfiniteDuration();
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_SERVICE_NOTIFIER_H_
