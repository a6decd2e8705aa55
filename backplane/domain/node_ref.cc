#include "backplane/domain/node_ref.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"

namespace actioncluster {

std::string RandomBootId() {
  char bytes[8];
  // Fails only on kernels without the call; a boot that is not random would be worse than none.
  if (getentropy(bytes, sizeof(bytes)) != 0) std::abort();
  return absl::BytesToHexString(absl::string_view(bytes, sizeof(bytes)));
}

}  // namespace actioncluster
