#include "backplane/pubsub/interest.h"

#include <algorithm>
#include <cstddef>

namespace actioncluster {

bool Interest::Matches(absl::string_view type) const {
  return types.contains(type) ||
         std::any_of(patterns.begin(), patterns.end(), [&](const std::string& p) { return MatchesPattern(p, type); });
}

// The last asterisk may take one character more whenever what follows it does not fit; the ones before it never need to.
bool MatchesPattern(absl::string_view pattern, absl::string_view type) {
  size_t p = 0;
  size_t t = 0;
  size_t after_asterisk = absl::string_view::npos;
  size_t taken_until = 0;
  while (t < type.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      after_asterisk = ++p;
      taken_until = t;
    } else if (p < pattern.size() && pattern[p] == type[t]) {
      ++p;
      ++t;
    } else if (after_asterisk != absl::string_view::npos) {
      p = after_asterisk;
      t = ++taken_until;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

}  // namespace actioncluster
