#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_DATA_DIR_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_DATA_DIR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/supervisor/file_descriptor.h"

namespace actioncluster {

// A cluster's directory on this machine: made with mode 0700 if missing, and held by `actioncluster.lock` against a second supervisor. The lock
// belongs to the open descriptor: a child that inherits it goes on holding it when the supervisor is gone. Not thread-safe.
class DataDir {
 public:
  // Waits up to `patience` for a predecessor that is just ending. FAILED_PRECONDITION if somebody still holds it then, and who; INTERNAL if the
  // directory cannot be made or written.
  static absl::StatusOr<DataDir> Open(const std::string& path, absl::Duration patience);

  const std::string& path() const { return path_; }
  int lock_fd() const { return lock_.get(); }

  // The path of `server-token`, which is made of 32 random bytes if it is missing. Errors as of ReadTokenFile, or INTERNAL.
  absl::StatusOr<std::string> ServerTokenFile() const;

 private:
  DataDir(std::string path, FileDescriptor lock);

  std::string path_;
  FileDescriptor lock_;
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_DATA_DIR_H_
