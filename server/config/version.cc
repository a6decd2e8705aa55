#include "server/config/version.h"

namespace actioncluster {

absl::string_view Version() { return ACTIONCLUSTER_VERSION; }

}  // namespace actioncluster
