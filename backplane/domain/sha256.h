#ifndef ACTIONCLUSTER_BACKPLANE_DOMAIN_SHA256_H_
#define ACTIONCLUSTER_BACKPLANE_DOMAIN_SHA256_H_

#include <string>

#include "absl/strings/string_view.h"

namespace actioncluster {

// The SHA-256 of a text: 32 bytes. Any thread.
std::string Sha256(absl::string_view text);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_DOMAIN_SHA256_H_
