#ifndef ACTIONCLUSTER_BACKPLANE_PUBSUB_INTEREST_H_
#define ACTIONCLUSTER_BACKPLANE_PUBSUB_INTEREST_H_

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace actioncluster {

// Which messages a subscriber wants: those of these types, and those of types that match one of the patterns.
struct Interest {
  std::set<std::string, std::less<>> types;
  std::vector<std::string> patterns;

  bool Matches(absl::string_view type) const;
};

// `*` stands for any characters, also none; everything else for itself. At worst as many steps as the product of the lengths. Pure; any thread.
bool MatchesPattern(absl::string_view pattern, absl::string_view type);

}  // namespace actioncluster

#endif  // ACTIONCLUSTER_BACKPLANE_PUBSUB_INTEREST_H_
