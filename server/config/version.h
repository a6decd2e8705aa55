#ifndef ACTIONCLUSTER_SERVER_CONFIG_VERSION_H_
#define ACTIONCLUSTER_SERVER_CONFIG_VERSION_H_

#include "absl/strings/string_view.h"

namespace actioncluster {

// The program's version, as `1.2.3`: the build's project version. Any thread.
absl::string_view Version();

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_SERVER_CONFIG_VERSION_H_
