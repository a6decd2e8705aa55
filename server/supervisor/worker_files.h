#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_WORKER_FILES_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_WORKER_FILES_H_

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace actioncluster {

// The files of one worker in the data directory.
//
// `worker-I.lock`, held while the process lives, guards the slot I and keeps the boot of its last node: whoever holds the lock knows that boot to be
// dead. `NAME.pid` and `NAME.log` go by the name that the node claims in the cluster. Used from one thread.
class WorkerFiles {
 public:
  // Takes the slot's lock; FAILED_PRECONDITION if a live process has it.
  static absl::StatusOr<std::unique_ptr<WorkerFiles>> Open(const std::string& data_dir, int slot);
  // Removes the pid file, gives up the lock.
  ~WorkerFiles();

  // The boot that the slot's last process ran as; empty if it left in good order or there was none.
  const std::string& last_boot() const;

  // The node runs as this boot under this name: remembers the boot, writes the pid file, and from now on standard output and error go to the end of the
  // log file. Called again after a rejoin; files by a former name are closed, its pid file removed.
  absl::Status Named(const std::string& node_id, const std::string& boot_id);

  // The node has left in good order: nothing needs to be succeeded.
  void Left();

 private:
  struct Impl;
  explicit WorkerFiles(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_WORKER_FILES_H_
