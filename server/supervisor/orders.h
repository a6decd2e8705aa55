#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_ORDERS_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_ORDERS_H_

#include <poll.h>
#include <sys/signalfd.h>

#include <functional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config/settings.h"
#include "server/supervisor/address_file.h"
#include "server/supervisor/control.h"
#include "server/supervisor/port_guard.h"
#include "server/supervisor/supervisor_core.h"

namespace actioncluster {

// What a supervisor needs to carry out orders.
struct OrdersOptions {
  Settings settings;  // What workers are started with.
  PortGuard ports;
  AddressFile address_file;
  ControlServer control;
  // New settings, complete as those above; none: there are only those.
  std::function<absl::StatusOr<Settings>()> reload;
  // The state of processes, for `status`.
  std::function<int(int slot)> worker_pid;
  std::function<int()> redis_pid;
};

// Orders from outside, by signal or by the control socket: checks them, takes the ports that they need, tells the core, and answers who asked by the
// socket when all is as it was ordered. Not thread-safe.
class Orders {
 public:
  using Actions = SupervisorCore::Actions;

  // `core` outlives it.
  Orders(SupervisorCore& core, OrdersOptions options) : core_(core), options_(std::move(options)) {}

  // What workers that are started now get.
  const Settings& settings() const { return options_.settings; }

  void Watch(std::vector<pollfd>* watched) const { options_.control.Watch(watched); }
  // One of SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU, SIGWINCH.
  Actions Signalled(const signalfd_siginfo& info, absl::Time now);
  // What the socket has.
  Actions Asked(absl::Time now);
  // To be called after each event.
  void AnswerWhoWaited();

 private:
  Actions Obey(const ControlServer::Request& request, absl::Time now);
  absl::StatusOr<Actions> Reload(absl::Time now);
  absl::StatusOr<Actions> Scale(int workers, absl::Time now);
  void Refuse(int id, const absl::Status& status);
  SupervisorStatus Status() const;

  SupervisorCore& core_;
  OrdersOptions options_;
  std::vector<int> waiting_;  // Who asked for something that is not done yet.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_ORDERS_H_
