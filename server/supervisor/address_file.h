#ifndef ACTIONCLUSTER_SERVER_SUPERVISOR_ADDRESS_FILE_H_
#define ACTIONCLUSTER_SERVER_SUPERVISOR_ADDRESS_FILE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/config/settings.h"

namespace actioncluster {

// Where programs on this machine reach its nodes: one address a line, first the port that all share, then each worker's own. Loopback where nodes
// listen on every address.
std::vector<std::string> LocalAddresses(const Settings& settings);

// The file `actioncluster.address` in a data directory, which tells the command line where the cluster of this machine listens. It stands while this
// does; a supervisor that is killed leaves it behind, and its successor replaces it. To be used by the holder of the directory's lock only.
// Not thread-safe.
class AddressFile {
 public:
  // Written whole or not at all. INTERNAL if that cannot be done.
  static absl::StatusOr<AddressFile> Write(const std::string& data_dir, const std::vector<std::string>& addresses);
  // Removes what a predecessor left behind, if anything.
  static void Remove(const std::string& data_dir);

  // In place of what it says. It goes on saying that if this cannot be done: INTERNAL.
  absl::Status Update(const std::vector<std::string>& addresses) const;

  AddressFile(AddressFile&& other) noexcept;
  AddressFile& operator=(AddressFile&& other) = delete;
  // Removes it.
  ~AddressFile();

 private:
  explicit AddressFile(std::string data_dir);

  std::string data_dir_;  // Empty once moved from.
};

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_SUPERVISOR_ADDRESS_FILE_H_
